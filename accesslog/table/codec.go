package table

import (
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// codec packs the pages of a file with Zstandard. The one that comes with the Parquet library keeps up
// to 24 MB for each page that is packed at a time, and loses and makes it anew with each collection of
// garbage; a page is 256 KB and a dictionary 2 MB at most, for which a window of 1 MB suffices.
type codec struct {
	page    int // bytes of a page before it is packed
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// packers is how many pages one codec packs at a time: of a file that is written, and of the rows of a
// question.
const packers = 2

func newCodec(level zstd.EncoderLevel, page int) *codec {
	c := &codec{page: page}
	// They fail on options that do not fit together, and these do.
	c.encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(packers), zstd.WithZeroFrames(true),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	c.decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(packers))
	return c
}

func (c *codec) String() string                            { return "ZSTD" }
func (c *codec) CompressionCodec() format.CompressionCodec { return format.Zstd }
func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}
func (c *codec) Decode(dst, src []byte) ([]byte, error) { return c.decoder.DecodeAll(src, dst[:0]) }
