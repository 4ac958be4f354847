package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

func init() {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	zerolog.DurationFieldUnit = time.Millisecond
}

// newLog returns the logger that the configuration asks for. What peers say stands in fields only: the console format
// prints messages as they are.
func newLog(c config.Log, w io.Writer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("log level %q is not known", c.Level)
	}
	if c.Format == "console" || c.Format == "auto" && onTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.DateTime, NoColor: !onTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}

func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
