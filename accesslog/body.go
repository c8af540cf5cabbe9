package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The limits of one batch.
const (
	MaxBatch      = 10_000  // events
	MaxBatchBytes = 8 << 20 // after decompression
)

// The errors of Ingest that refuse a whole batch; nothing of it was taken.
var (
	ErrTooLarge = fmt.Errorf("accesslog: the batch is larger than %d events or %d MiB: send it in parts", MaxBatch, MaxBatchBytes>>20)
	ErrFormat   = errors.New("accesslog")
	ErrBusy     = errors.New("accesslog: more events are waiting for the disk than may: try again in a second")
	ErrClosed   = errors.New("accesslog: the store is closed")
	ErrReadOnly = errors.New("accesslog: the store was opened for reading only")
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// readBody reads a batch into buf, unpacking gzip and zstd, which it knows by their first bytes.
func readBody(buf *bytes.Buffer, r io.Reader) error {
	br := bufio.NewReaderSize(io.LimitReader(r, MaxBatchBytes+1), 64<<10)
	src := io.Reader(br)
	magic, _ := br.Peek(4)
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(br)
		if err != nil {
			return fmt.Errorf("%w: the batch is damaged gzip", ErrFormat)
		}
		src = z
	case bytes.Equal(magic, zstdMagic):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*MaxBatchBytes), zstd.WithDecoderMaxWindow(MaxBatchBytes))
		if err != nil {
			return fmt.Errorf("%w: the batch is damaged zstd", ErrFormat)
		}
		defer z.Close()
		src = z
	}
	_, err := buf.ReadFrom(io.LimitReader(src, MaxBatchBytes+1))
	switch {
	case buf.Len() > MaxBatchBytes:
		return ErrTooLarge
	case err == nil:
		return nil
	case src == io.Reader(br):
		return fmt.Errorf("accesslog: read the batch: %w", err)
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrCompressedSizeTooBig):
		return ErrTooLarge
	case damaged(err):
		return fmt.Errorf("%w: the batch is damaged or cut short: send it again with the same key", ErrFormat)
	}
	return fmt.Errorf("accesslog: read the batch: %w", err)
}

// damaged tells what the unpacker found from what the connection did.
func damaged(err error) bool {
	for _, e := range []error{io.ErrUnexpectedEOF, gzip.ErrChecksum, gzip.ErrHeader, zstd.ErrMagicMismatch, zstd.ErrCRCMismatch, zstd.ErrReservedBlockType, zstd.ErrBlockTooSmall, zstd.ErrUnexpectedBlockSize, zstd.ErrUnknownDictionary, zstd.ErrFrameSizeMismatch, zstd.ErrFrameSizeExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
