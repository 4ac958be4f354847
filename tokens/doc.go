// Package tokens has a valid access token for each account, or knows what a person must do.
//
//  1. a Flow fetches one token over the network (client_secret.go, client_certificate.go, both on entra.go), with a
//     deadline and a bounded answer (http.go);
//  2. what goes wrong becomes a *diagnose.Problem by one table (problem.go), the words cleaned of secrets
//     (redact.go);
//  3. what a token says about itself is looked at before it is used (claims.go);
//  4. a Manager keeps one account's token: one fetch in flight whatever the number of callers (manager.go), renewed
//     ahead of time in the background (run.go), when and how often as pure arithmetic (schedule.go);
//  5. State says how the account stands, for status and alerts (state.go);
//  6. the certificate of an app is read from PEM or PFX in words a person can act on (certificate.go).
//
// It never prints a secret, an assertion or a token, never retries faster than the provider asks, never uses MSAL's
// cache (it cannot be told to fetch again), never lets MSAL choose another host (MSAL_FORCE_REGION is overruled,
// instance discovery is off), and never decides what becomes of a message or whether an account is held: it says
// what it was told, and the courier decides.
package tokens
