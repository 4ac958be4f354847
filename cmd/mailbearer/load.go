package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// places are where a configuration is looked for when none is named.
var places = []string{"mailbearer.toml", "/etc/mailbearer/mailbearer.toml"}

// loadConfig reads the configuration that --config names, or the first that is found.
func loadConfig(path string, options ...config.Option) (*config.Config, error) {
	if path != "" {
		return config.Load(path, options...)
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return config.Load(p, options...)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no configuration found: looked for %s; name one with --config FILE, write one with: mailbearer init, or see it work without any: mailbearer demo",
		strings.Join(places, " and "))
}

// openSpool opens the spool beside a running relay, or without one. It makes none, so that it may be wherever the relay
// was allowed to make it.
func openSpool(ctx context.Context, cfg *config.Config) (*sqlite.Spool, error) {
	return sqlite.Open(ctx, sqlite.Options{Dir: cfg.Relay.DataDir, MaxSize: cfg.Spool.MaxSize, AllowNetworkFS: true})
}
