// Command tocsin runs the security incident response policy a vendor publishes.
//
// It is one program: the server (tocsin serve), the command line over its API, the drill and the
// benchmarks. See tocsin help.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // clocks are zones: the program must not depend on the machine having them

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// softMemory is what the program's memory is kept under by collecting garbage more often as it comes
// near, in bytes. It is no hard limit: what is needed is taken. GOMEMLIMIT in the environment sets
// another.
const softMemory = 512 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int { return cli.Run(ctx, rootCommand(), args) }

// rootCommand is the program with all of its commands.
func rootCommand() *cobra.Command {
	root := cli.New(cli.Deps{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: desk.EngineVersion,
		Examine: func(ctx context.Context, dir string, full bool, progress func(doctor.Progress)) (doctor.Report, error) {
			return app.Examine(ctx, app.Options{Dir: dir}, app.Depth{Full: full, Progress: progress})
		}})
	root.AddCommand(initCommand(), setupCommand(), serveCommand(), rebuildCommand(), backupCommand(), restoreCommand(), moveLogsCommand(), drillCommand(), drillProcessCommand(), benchCommand())
	cli.AddExamples(root)
	root.SetUsageFunc(usage)
	return root
}
