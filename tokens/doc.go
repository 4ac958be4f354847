// Package tokens has a valid access token for each account, or knows what a person must do.
//
//  1. a Flow fetches one token over the network, with a deadline and a bounded answer (http.go), which says how long
//     the token is good (life.go). An app that signs in for itself: client_secret.go, client_certificate.go,
//     federated_token.go (all three on entra.go, by MSAL), managed_identity.go (azure_arc.go), service_account.go,
//     client_credentials.go. An app as which a person signed in: delegated.go, on provider.go;
//  2. a person signs in once, by device_code.go or browser.go (its page on this machine: callback.go); signin.go says
//     who that was, in which tenant and with which permissions; persist.go tries again where the service has a fault;
//  3. the sign-in's refresh token is kept in one encrypted file (store.go, store_file.go, store_key.go, store_words.go),
//     under a lock that is held around the whole exchange (lock.go); what another process stores is noticed
//     (store_watch.go), and whether anything could be stored is tried before a person is troubled (store_probe.go);
//  4. what goes wrong becomes a *diagnose.Problem by one table (problem.go), what to do about it by another, in words
//     about the provider that is asked (advice.go), cleaned of secrets (redact.go);
//  5. what a token says about itself is looked at before it is used (claims.go);
//  6. a Manager keeps one account's token for one audience: one fetch in flight whatever the number of callers
//     (manager.go), renewed ahead of time in the background (run.go), when and how often as pure arithmetic
//     (schedule.go);
//  7. State says how the account stands, for status and alerts (state.go), Forecast what will expire (forecast.go);
//  8. the certificate of an app is read from PEM or PFX in words a person can act on (certificate.go, pkcs8.go), and
//     signs the app's requests for people (assertion.go).
//
// A person's tokens do not go through MSAL: its device code passes over the provider's interval and ends at the first
// 5xx, its browser page ends at the first stray request, and its cache cannot hold one lock around read, use and
// write. These are plain forms of RFC 6749, 7636 and 8628, the same for every provider.
//
// What a lock and an fsync cannot mend: if the process dies after a provider has rotated and before its answer is on
// disk, the old refresh token is what is left. Entra leaves that one good; a provider that revokes it at once ends
// the sign-in (docs/tokens.md says what an administrator sees then).
//
// It never prints a secret, an assertion or a token, never retries faster than the provider asks, never uses MSAL's
// cache (it cannot be told to fetch again), never lets MSAL choose another host (MSAL_FORCE_REGION is overruled,
// instance discovery is off), never writes over a key or a store that it cannot read, and never decides what becomes
// of a message or whether an account is held: it says what it was told, and the courier decides.
package tokens
