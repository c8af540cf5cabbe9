//go:build cgo

package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the engine

	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/columns"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// serve answers questions until the input ends, or until one comes that counting over dictionaries takes
// and the general engine still holds, of an earlier one, more than half of what both may have: it gives
// nothing back.
func serve(c config, in io.Reader, out io.Writer) error {
	confine(c)
	db, err := open(c)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// What earlier questions left: half of the memory is too much beside a counting over dictionaries, and three
	// quarters beside anything, because the general engine's allocator keeps more than its limit says.
	full, over := false, false
	r := bufio.NewReaderSize(in, 1<<16)
	w := bufio.NewWriterSize(out, 1<<16)
	for {
		line, err := ask.ReadLine(r, ask.MaxQuestion)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var q ask.Question
		a := &ask.Answer{}
		if err := json.Unmarshal(line, &q); err != nil {
			a.Error = "the question is not one"
		} else if over || full && !confined(q.Wide.Any) {
			return nil // the parent asks another child, which has all of its memory
		} else if a, err = answer(ctx, c, conn, &q, func(p ask.Progress) {
			// A parent that cannot be told is gone, which the answer will notice.
			_ = errors.Join(json.NewEncoder(w).Encode(ask.Answer{Progress: &p}), w.Flush())
		}); err != nil {
			a = &ask.Answer{Error: oneLine(err)}
		}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		left := resident()
		full, over = left > uint64(c.memory)<<20/2, left > uint64(c.memory)<<20*3/4
	}
}

// answer counts a question that is confined to credentials by the general engine, because their rows stand
// together and it reads little beside them; and any other over dictionaries, in a fraction of the
// time. What that cannot count the general engine does, which puts beside its memory whatever it has.
func answer(ctx context.Context, c config, conn *sql.Conn, q *ask.Question, tell func(ask.Progress)) (*ask.Answer, error) {
	if confined(q.Wide.Any) {
		return count(ctx, conn, q, tell)
	}
	// What the general engine keeps of earlier questions stands in the same memory.
	limit := int64(c.memory) << 20
	left := max(limit-int64(resident()), limit/2)
	before := debug.SetMemoryLimit(left)
	a, err := columns.Count(q, columns.Options{Dir: c.dir, Spill: c.spill, Memory: left, Threads: c.threads, Tell: tell})
	debug.SetMemoryLimit(before)
	debug.FreeOSMemory() // the general engine has a limit of its own beside it
	if err != nil {
		fmt.Fprintln(os.Stderr, "tocsin-query: the general engine counts:", oneLine(err))
		return count(ctx, conn, q, tell)
	}
	return a, nil
}

// confined says whether every clause of a question names credentials.
func confined(list []tally.Clause) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(c tally.Clause) bool { return len(c.Credential) == 0 })
}

// oneLine keeps what an engine says from filling a log: values that were asked for do not stand in
// errors of reading, which come before its first line ends.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text[:min(len(text), 300)]
}

// open opens the engine in memory, with nothing to reach but the folder: no extension, no network,
// no setting can be changed afterwards.
func open(c config) (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	threads := c.threads
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	for _, set := range []string{
		fmt.Sprintf("SET memory_limit = '%dMB'", c.memory*5/8), // what its allocator keeps comes on top
		fmt.Sprintf("SET threads = %d", threads),
		"SET temp_directory = " + quote(c.spill),
		"SET preserve_insertion_order = false",
		"SET parquet_metadata_cache = true",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allowed_directories = [" + quote(strings.TrimSuffix(c.dir, "/")+"/") + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if _, err := db.Exec(set); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", set, err), db.Close())
		}
	}
	return db, nil
}

// confine makes this process the first to go when the machine runs out of memory. That it cannot
// be done, as outside Linux, is no reason not to count.
func confine(c config) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0o600)
	limitData(uint64(c.memory+1024) << 20)
}
