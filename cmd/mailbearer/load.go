package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// places are where a configuration is looked for when none is named.
var places = []string{"mailbearer.toml", "/etc/mailbearer/mailbearer.toml"}

// loadConfig reads the configuration that --config names, or the first that is found.
func loadConfig(path string) (*config.Config, error) {
	if path != "" {
		return config.Load(path)
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return config.Load(p)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no configuration found: looked for %s; name one with --config FILE, or see it work without any: mailbearer demo",
		strings.Join(places, " and "))
}

// openSpool opens the spool beside a running relay, or without one.
func openSpool(ctx context.Context, cfg *config.Config) (*sqlite.Spool, error) {
	return sqlite.Open(ctx, sqlite.Options{Dir: cfg.Relay.DataDir, MaxSize: cfg.Spool.MaxSize})
}

// parseAge reads a duration as the configuration has them: "30m", "2d".
func parseAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 {
			return time.Duration(n * float64(24*time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration: write 30m, 12h or 2d", s)
	}
	return d, nil
}
