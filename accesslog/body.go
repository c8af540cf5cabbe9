package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-ir/tocsin/accesslog/format"
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
	// ErrOtherBatch says that a batch key of the last 24 hours came with other bytes.
	ErrOtherBatch = fmt.Errorf("%w: this batch key came with other events less than 24 hours ago: send these under a key of their own", ErrFormat)

	ErrBusy     = errors.New("accesslog: more events are waiting for the disk than may: try again in a second")
	ErrClosed   = errors.New("accesslog: the store is closed")
	ErrReadOnly = errors.New("accesslog: the store was opened for reading only")
)

// readBody reads a batch into buf and unpacks gzip and zstd, which it knows by their first bytes.
func readBody(buf *bytes.Buffer, r io.Reader) error {
	if _, err := buf.ReadFrom(io.LimitReader(r, MaxBatchBytes+1)); err != nil {
		return fmt.Errorf("accesslog: read the batch: %w", err)
	}
	if buf.Len() > MaxBatchBytes {
		return ErrTooLarge
	}
	var src io.Reader
	switch format.Packed(buf.Bytes()) {
	case format.Gzip:
		z, err := format.Gunzip(buf)
		if err != nil {
			return fmt.Errorf("%w: the batch is damaged gzip", ErrFormat)
		}
		src = z
	case format.Zstd:
		z, err := zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*MaxBatchBytes), zstd.WithDecoderMaxWindow(MaxBatchBytes))
		if err != nil {
			return fmt.Errorf("%w: the batch is damaged zstd", ErrFormat)
		}
		defer z.Close()
		src = z
	default:
		return nil
	}
	plain := bodies.Get().(*bytes.Buffer)
	defer giveBack(plain)
	plain.Reset()
	_, err := plain.ReadFrom(io.LimitReader(src, MaxBatchBytes+1))
	*buf, *plain = *plain, *buf
	switch {
	case buf.Len() > MaxBatchBytes:
		return ErrTooLarge
	case err == nil:
		return nil
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrCompressedSizeTooBig):
		return ErrTooLarge
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return fmt.Errorf("%w: the batch is packed with a dictionary, which the access log does not have: pack it without one", ErrFormat)
	}
	// All of it was read before: whatever the unpacker says is about these bytes.
	return fmt.Errorf("%w: the batch is damaged or cut short: send it again with the same key", ErrFormat)
}
