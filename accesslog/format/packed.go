package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

// How a body or a file may be packed.
const (
	Gzip = "gzip"
	Zstd = "zstd"
)

// Packed says how something is packed, by its first four bytes; empty: it is not. A zstd file may begin
// with a frame that is to be skipped, as those of parallel packers do.
func Packed(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return Zstd
	}
	return ""
}

// Gunzip unpacks the members of a gzip file, as gzip(1) does: the zeros are left out that tapes and tar
// fill a last block with. Anything else behind a member is gzip.ErrHeader.
func Gunzip(r io.Reader) (io.Reader, error) {
	in, ok := r.(*bufio.Reader)
	if !ok {
		in = bufio.NewReader(r)
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &members{in: in, z: z}, nil
}

// members reads one member behind the other, where the standard library takes no zeros.
type members struct {
	in *bufio.Reader
	z  *gzip.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if n > 0 && errors.Is(err, io.EOF) {
			return n, nil // the next call finds the end again
		}
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		switch head, err := m.in.Peek(1); {
		case err != nil:
			return 0, err
		case head[0] == 0:
			return 0, m.zeros()
		}
		if err := m.z.Reset(m.in); err != nil {
			return 0, err
		}
		m.z.Multistream(false)
	}
}

// zeros reads to the end, which is io.EOF when nothing else comes.
func (m *members) zeros() error {
	for {
		switch b, err := m.in.ReadByte(); {
		case err != nil:
			return err
		case b != 0:
			return gzip.ErrHeader
		}
	}
}
