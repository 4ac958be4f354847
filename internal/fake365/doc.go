// Package fake365 plays Entra, Exchange Online and Graph inside one process, with faults on request.
//
// The demo shows the whole product against it, and the tests of every room that talks to Microsoft use it, so that
// nobody needs an account to see what happens on a bad day. What a client meets, in the order it meets it:
//
//  1. Start opens two doors on loopback, SMTP and HTTPS, with certificates of the server's own CA (server.go, ca.go);
//  2. Entra's discovery and token endpoint check the secret, the signed assertion or the refresh token, and issue
//     access tokens that look like real ones (entra.go, grants.go, assertion.go, jwt.go); a person signs in by
//     device code or browser (signin.go);
//  3. Exchange Online's SMTP submission greets, upgrades to TLS, checks the XOAUTH2 token and the mailbox, and takes
//     the message by DATA or BDAT (smtp.go, session.go, auth.go, data.go);
//  4. Graph takes the same message by sendMail (graph.go);
//  5. a Fault replaces, delays, hangs up or cuts any of these steps, as often as asked (faults.go);
//  6. what arrived waits in Messages and Wait, what happened is counted in Counters and told to Observe (record.go).
//
// The texts are Microsoft's own where one has been seen. Where the real service is lenient in a way that hides a
// client's mistake (bare line feeds, a mailbox that is not the app's), the fake is strict.
//
// What it never does: deliver anything, listen beyond loopback, write to disk (WriteCA excepted), log, or put a
// token or a secret into an event.
package fake365
