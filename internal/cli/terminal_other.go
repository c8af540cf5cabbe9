//go:build !unix

package cli

// terminalSize finds no terminal: output is lines of text.
func terminalSize(any) (columns, rows int) { return 0, 0 }
