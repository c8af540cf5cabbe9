package format

import "bytes"

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
