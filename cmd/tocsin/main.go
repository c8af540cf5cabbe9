// Command tocsin runs the security incident response policy a vendor publishes.
//
// It is one program: the server (tocsin serve), the command line over its API, the drill and the
// benchmarks. See tocsin help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // clocks are zones: the program must not depend on the machine having them

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int { return cli.Run(ctx, rootCommand(), args) }

// rootCommand is the program with all of its commands.
func rootCommand() *cobra.Command {
	root := cli.New(cli.Deps{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: desk.EngineVersion,
		Examine: func(ctx context.Context, dir string) (doctor.Report, error) {
			return app.Examine(ctx, app.Options{Dir: dir})
		}})
	root.AddCommand(initCommand(), setupCommand(), serveCommand(), rebuildCommand(), backupCommand(), restoreCommand(), drillCommand(), drillProcessCommand(), benchCommand())
	root.SetUsageFunc(usage)
	return root
}
