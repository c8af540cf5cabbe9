// Tocsin-query counts for scopes: it reads questions from its standard input, one a line, and
// writes the answers. It holds the column engine, which is why it is a process of its own: see
// docs/design/storage.md. It is started by tocsin and is of no use to people.
package main

import (
	"flag"
	"fmt"
	"os"
)

// config is what the parent allows.
type config struct {
	dir, spill string
	memory     int // megabytes
	threads    int
}

func main() {
	var c config
	flag.StringVar(&c.dir, "dir", "", "the only folder that is read")
	flag.StringVar(&c.spill, "spill", "", "where a question that needs more than its memory writes")
	flag.IntVar(&c.memory, "memory", 512, "megabytes that a question may take")
	flag.IntVar(&c.threads, "threads", 0, "threads that count; 0: as many as there are processors")
	flag.Parse()
	if c.dir == "" || c.spill == "" || c.memory < 64 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "tocsin-query: it is started by tocsin, with --dir and --spill")
		os.Exit(2)
	}
	if err := serve(c, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tocsin-query:", err)
		os.Exit(1)
	}
}
