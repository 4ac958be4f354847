// Package diagnose knows what a provider's error means and what to do about it.
//
//  1. The catalogue (errors.json, embedded) has one entry for each known error: a pattern, a class, a title, a fix;
//  2. Lookup finds the entry that a provider's words match, the most specific first, LookupAll all of them;
//  3. Problem carries what was found through the code as an error, and is what tokens return.
//
// It explains and never decides: whether a message is tried again follows reply codes, OAuth errors and HTTP
// status (the provider says that its texts change). It keeps no state and never prints a secret: it repeats none of
// the words it was given.
package diagnose
