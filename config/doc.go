// Package config turns the TOML file into checked values, or into every mistake at once.
//
// The exported structs are the schema: a field's tags hold its key, its default and what it allows, so that a new key
// is one line. A file goes through these steps:
//
//  1. syntax: the text becomes a tree in which every value knows its line (tree.go, syntax.go);
//  2. decode: the tree fills the structs, defaults where a key is absent; unknown keys, wrong types and values that
//     are not allowed become mistakes (decode.go, scalars.go, checks.go);
//  3. rules: what keys say together is checked, by tables of rules, and what depends on other keys, or is known of the
//     provider, is filled in (rules.go, listener.go, account.go, sections.go, flows.go, providers.go);
//  4. unbuilt: what this version cannot do yet is refused or warned about, never ignored (unbuilt.go);
//  5. either a Config, with warnings, or Mistakes, sorted by line.
//
// A step carries on after a mistake, with the default in place of what was wrong, so that the next mistakes are found
// and no mistake is reported twice.
//
// Relative paths are taken from the directory of the file: a service's working directory is nobody's expectation.
// Files named by the configuration are looked at while loading (secrets are read), and nothing is ever written.
//
// What it never does: open a socket, ask DNS, read a certificate, show a secret, or know another room; cmd translates
// its values for those.
package config
