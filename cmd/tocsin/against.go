package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// drillAgainst has a running installation play a drill of its own policy and waits for the result. What
// it is interrupted by stays a drill without a result on the installation's Policy page.
func drillAgainst(cmd *cobra.Command, server, scenario string) error {
	var odd []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "against", "scenario", "json", "token-file", "data", "key", "help":
		default:
			odd = append(odd, "--"+f.Name)
		}
	})
	if len(odd) > 0 {
		return &cli.ExitError{Code: cli.ExitUsage, Err: fmt.Errorf("--against plays the installation's own policy in its own way: leave out %s", strings.Join(odd, ", "))}
	}
	if u, err := url.Parse(server); err == nil && u.User != nil {
		return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New("--against: leave name and password out of the address, and give the token's file with --token-file")}
	}
	if err := cmd.Flags().Set("server", server); err != nil {
		return err
	}
	c, err := cli.Connect(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	var begun struct {
		Began time.Time `json:"began"`
	}
	if err := c.Do(ctx, http.MethodPost, "/v1/drills", map[string]string{"scenario": scenario}, &begun); err != nil {
		return err
	}
	asJSON, _ := cmd.Flags().GetBool("json")
	if !asJSON {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s plays %s with its own policy, in an environment of its own; this takes about a minute\n", server, scenario)
	}
	run, err := drillEnded(ctx, c, begun.Began)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		err = e.Encode(run)
	} else {
		err = printRun(cmd.OutOrStdout(), run, strings.TrimSuffix(server, "/"))
	}
	if err == nil && (run.Failed != "" || !run.Card.OK) {
		err = &cli.ExitError{Code: cli.ExitRefused}
	}
	return err
}

// drillEnded asks once a second until the drill has ended. A server that is away for a moment, because
// it starts again, is asked on: it says that the drill was interrupted.
func drillEnded(ctx context.Context, c *client.Client, began time.Time) (played.Run, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for away := 0; ; {
		var list struct {
			Drills []played.Run `json:"drills"`
		}
		err := c.Do(ctx, http.MethodGet, "/v1/drills?began="+url.QueryEscape(began.Format(time.RFC3339Nano)), nil, &list)
		var gone *client.UnavailableError
		switch {
		case errors.As(err, &gone) && away < 60:
			away++
		case err != nil:
			return played.Run{}, err
		case len(list.Drills) > 0:
			return list.Drills[0], nil
		default:
			away = 0
		}
		select {
		case <-ctx.Done():
			return played.Run{}, errors.New("stopped waiting; the drill goes on and its result will be on the Policy page")
		case <-tick.C:
		}
	}
}

// printRun is what came of a drill, for a terminal.
func printRun(w io.Writer, r played.Run, server string) error {
	fmt.Fprintf(w, "Drill of %s, %s, ended %s\n", r.Card.Policy, r.Card.Scenario, r.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	if r.Failed != "" {
		_, err := fmt.Fprintf(w, "no result: %s\n", plain(r.Failed))
		return err
	}
	fmt.Fprintf(w, "\n %-18s %-12s %-22s %s\n", "promise", "got", "margin", "reason")
	for _, p := range r.Card.Promises {
		if p.Got == "not_applicable" {
			continue
		}
		mark, left := " ", "-"
		if p.Got != p.Expected {
			mark = "*"
		}
		if d, ok := p.Margin(); ok && d >= 0 {
			left = d.Round(time.Second).String() + " left"
		} else if ok {
			left = (-d).Round(time.Second).String() + " late"
		}
		fmt.Fprintf(w, "%s%-18s %-12s %-22s %s\n", mark, plain(p.ID), p.Got, left, plain(p.Reason))
	}
	result := "as expected"
	if !r.Card.OK {
		result = "not as expected: " + strings.Join(r.Card.Broken, ", ")
	}
	_, err := fmt.Fprintf(w, "\nresult  %s\nkept    %s/drills/%s\n", result, server, r.ID())
	return err
}

// plain keeps text of another machine from steering the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '.'
		}
		return r
	}, s)
}
