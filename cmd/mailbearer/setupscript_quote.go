package main

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// quotePowerShell writes a value as an expression of PowerShell that is it, and nothing else, whatever is in it. The
// scripts are plain ASCII: Windows PowerShell 5.1 reads a file without a byte-order mark in the machine's code page, in
// which other bytes may become quotation marks (to PowerShell U+2018 to U+201B are the same as an apostrophe).
func quotePowerShell(s string) string {
	var parts []string
	plain := ""
	flush := func() {
		if plain != "" {
			parts = append(parts, "'"+strings.ReplaceAll(plain, "'", "''")+"'")
		}
		plain = ""
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		if unit >= ' ' && unit < 0x7f {
			plain += string(rune(unit))
			continue
		}
		flush()
		parts = append(parts, fmt.Sprintf("[char]0x%04x", unit))
	}
	flush()
	switch {
	case len(parts) == 0:
		return "''"
	case len(parts) == 1 && strings.HasPrefix(parts[0], "'"):
		return parts[0]
	}
	return "('' + " + strings.Join(parts, " + ") + ")"
}

// wordPowerShell writes a value as people type it where that is safe, else as quotePowerShell does.
func wordPowerShell(s string) string {
	if s != "" && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "@") && !strings.ContainsFunc(s, notPlain) {
		return s
	}
	return quotePowerShell(s)
}

func notPlain(r rune) bool { return notLDH(r) && !strings.ContainsRune("@._", r) }

// quoteShell writes a value as one word of a POSIX shell.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quoteJMES writes a value as a raw string of JMESPath, the language of az's --query.
func quoteJMES(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
}

// quoteOData writes a value as a string of OData, the language of Microsoft Graph's filters.
func quoteOData(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
