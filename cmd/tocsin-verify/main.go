// Command tocsin-verify checks an evidence export, or the proof of one event, offline. It is one
// static program without dependencies, so that a merchant, an auditor or a court can run it without
// anything else of Tocsin.
//
// Exit status: 0 it holds, 1 it does not (each finding named, one a line), 2 the command line or a
// file given with it cannot be used.
package main

import (
	"os"

	"github.com/tocsin-ir/tocsin/verify/command"
)

func main() { os.Exit(command.Run(os.Args[1:], os.Stdout, os.Stderr)) }
