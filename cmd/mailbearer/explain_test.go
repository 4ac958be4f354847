package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/diagnose"
)

// wild are errors as they are pasted from logs, tickets and terminals. None is an example of the catalogue.
var wild = []struct{ text, id string }{
	// Mail server, as programs wrap it.
	{"SMTP Error: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [FR3P281CA0099.DEUP281.PROD.OUTLOOK.COM 2026-11-02T07:41:09.120Z 08DE19E3D1B4A7C0]", "smtp-535-5.7.139-tenant-disabled"},
	{"smtplib.SMTPAuthenticationError: (535, b'5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. [AS4P190CA0031.EURP190.PROD.OUTLOOK.COM 2026-09-14T11:02:55.431Z]')", "smtp-535-5.7.139-mailbox-disabled"},
	{"Error: Invalid login: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [LO4P123CA0432.GBRP123.PROD.OUTLOOK.COM]", "smtp-535-5.7.139-basic-disabled"},
	{"535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator. [BN0PR04CA0180]", "smtp-535-5.7.139-security-defaults"},
	{"msmtp: server message: 535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [SJ0PR03CA0188.namprd03.prod.outlook.com]", "smtp-535-5.7.139-bad-credentials"},
	{"535-5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", "smtp-535-5.7.139-criteria"},
	{"AUTH XOAUTH2 failed: 535 5.7.3 Authentication unsuccessful [ZR0P278CA0158.CHEP278.PROD.OUTLOOK.COM 2026-11-23T08:15:27.611Z 08DE2A1150B8BE7E]", "smtp-535-5.7.3-xoauth2"},
	{"535-5.7.3 Authentication unsuccessful [AM0PR02CA0012.eurprd02.prod.outlook.com]", "smtp-535-5.7.3-xoauth2"},
	{"postfix/smtp[2231]: status=deferred (host smtp.office365.com[52.98.152.162] said: 430 4.2.0 STOREDRV; mailbox logon failure; failure category: Permanent (in reply to end of DATA command))", "smtp-430-mailbox-logon"},
	{"Mailbox unavailable. The server response was: 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 [DU7P195CA0002]", "smtp-530-5.7.57"},
	{"System.Net.Mail.SmtpException: The SMTP server requires a secure connection. The server response was: 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM [VI1PR08CA0145.eurprd08]", "smtp-530-5.7.57"},
	{"504 5.7.4 Unrecognized authentication type [CH0PR04CA0010.namprd04.prod.outlook.com]", "smtp-504-unrecognized-auth"},
	{"421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls. [PR0P264CA0110]", "smtp-421-tls-version"},
	{"554 5.2.252 SendAsDenied; noreply@fabrikam.example not allowed to send as scanner2@fabrikam.example; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied", "smtp-554-5.2.252-sendas"},
	{"reply: b'554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception'", "smtp-554-5.2.0-sendas"},
	{"550 5.7.60 SMTP; Client does not have permissions to send as this sender [DB9PR02CA0021.eurprd02.prod.outlook.com]", "smtp-550-5.7.60-sendas"},
	{"432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. [AS9PR06CA0777]", "smtp-432-concurrent"},
	{"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=AM6PR05MB5123]", "smtp-432-concurrent"},
	{"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception with message The message can't be submitted because the sender's submission quota was exceeded.", "smtp-554-submission-quota"},
	{"550 5.7.233 - Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit).", "smtp-550-5.7.233-terrl"},
	{"Remote Server returned '550 5.7.705 Access denied, tenant has exceeded threshold'", "smtp-550-5.7.705-tenant-threshold"},
	{"550 5.1.8 Access denied, bad outbound sender AS(42004)", "smtp-550-5.1.8"},
	{"451 4.7.0 Temporary server error. Please try again later. PRX4 [FR0P281CA0077.DEUP281.PROD.OUTLOOK.COM]", "smtp-451-prx"},
	{"501 5.5.4 Invalid domain name [SCANNER-EG]", "smtp-501-5.5.4-helo"},
	{"552 5.3.4 Message size exceeds fixed maximum message size (157286400)", "smtp-552-5.3.4-size"},
	// Entra.
	{`{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '5d1e…'. Trace ID: 0b1f Correlation ID: 77aa Timestamp: 2026-10-01 06:00:02Z","error_codes":[7000215]}`, "entra-7000215"},
	{"msal.exceptions: AADSTS7000222: The provided client secret keys for app '8c6f' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret", "entra-7000222"},
	{"AADSTS700016: Application with identifier 'aaaa-bbbb' was not found in the directory 'Fabrikam'. This can happen if the application has not been installed by the administrator of the tenant", "entra-700016"},
	{"unauthorized_client: AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '3A5B']", "entra-700027"},
	{"AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-11-12T10:00:00Z, assertion valid from 2026-11-12T10:07:41Z", "entra-700024"},
	{"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", "entra-7000218"},
	{"AADSTS90002: Tenant 'fabrikan.example' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", "entra-90002"},
	{"AADSTS65001: The user or administrator has not consented to use the application with ID '42' named 'mailer'. Send an interactive authorization request for this user and resource.", "entra-65001"},
	{"invalid_grant AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-05-02T09:11:44Z and was inactive for 90.00:00:00.", "entra-700082"},
	{"AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'.", "entra-50076"},
	{"AADSTS53003: Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.", "entra-53003"},
	// Graph.
	{`403 Forbidden {"error":{"code":"ErrorAccessDenied","message":"Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."}}`, "graph-app-access-policy"},
	{`Invoke-MgGraphRequest: POST https://graph.microsoft.com/v1.0/users/app@fabrikam.example/sendMail HTTP/1.1 403 Forbidden {"error":{"code":"ErrorSendAsDenied","message":"The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account."}}`, "graph-sendas-denied"},
	{`{"error": {"code": "ApplicationThrottled", "message": "Application is over its MailboxConcurrency limit.", "innerError": {"date": "2026-11-01"}}}`, "graph-app-throttled"},
	// The way there.
	{`Get "https://login.microsoftonline.com/": tls: failed to verify certificate: x509: certificate signed by unknown authority`, "tls-unknown-authority"},
	{"dial tcp: lookup smtp.office365.com on 10.0.0.2:53: no such host", "net-no-such-host"},
	{"dial tcp 52.98.243.2:587: i/o timeout", "net-connect-timeout"},
	{"dial tcp 40.99.150.2:587: connect: connection refused", "net-connection-refused"},
	// The same words without codes, as devices and tickets have them.
	{"SmtpClientAuthentication is disabled", "smtp-535-5.7.139-mailbox-disabled"},
	{"Error 0x4: SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled", "smtp-535-5.7.139-mailbox-disabled"},
	{"Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant", "smtp-535-5.7.139-tenant-disabled"},
	{"535 5.7.139 … SmtpClientAuthentication is disabled", "smtp-535-5.7.139-mailbox-disabled"},
	{"Scan to e-mail failed (server said: Basic authentication is not supported for Client Submission)", "smtp-550-5.7.30-basic-retired"},
	{"550 5.7.30 Basic authentication is not supported [PH0PR07CA0011.namprd07.prod.outlook.com 2027-01-04T07:00:11.000Z]", "smtp-550-5.7.30-basic-retired"},
	{"MFP-3OG: E-mail send error. Authentication unsuccessful, basic authentication is disabled.", "smtp-535-5.7.139-basic-disabled"},
	// Mail server: more programs, more replies.
	{"Error: Invalid login: 535 5.7.3 Authentication unsuccessful [BN9PR03CA0442]\n    at SMTPConnection._formatError (nodemailer/lib/smtp-connection/index.js:798:19)\n  code: 'EAUTH',\n  responseCode: 535", "smtp-535-5.7.3-xoauth2"},
	{"SMTPAuthenticationError: (535, b'5.7.3 Authentication unsuccessful [AM8P251CA0022.EURP251.PROD.OUTLOOK.COM]')", "smtp-535-5.7.3-xoauth2"},
	{"Send-MailMessage : The SMTP server requires a secure connection or the client was not authenticated. The server response was: 5.7.57 Client not authenticated to send mail. [FR0P281CA0130.DEUP281.PROD.OUTLOOK.COM]", "smtp-530-5.7.57"},
	{`{"time":"2026-11-20T07:00:03Z","level":"error","event":"held","account":"default","reply":"535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator. [ZR2P278CA0065]","cause":"…"}`, "smtp-535-5.7.139-criteria"},
	{`{"level":"warn","event":"deferred","id":"01JD","account":"default","reply":"432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information."}`, "smtp-432-concurrent"},
	{"421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel", "smtp-432-concurrent"},
	{"postfix/smtp[911]: 4XyZ: to=<ops@fabrikam.example>, relay=smtp.office365.com[52.98.152.2]:587, delay=3.1, dsn=5.7.60, status=bounced (host smtp.office365.com[52.98.152.2] said: 550 5.7.60 SMTP; Client does not have permissions to send as this sender [GV1PR05MB1] (in reply to end of DATA command))", "smtp-550-5.7.60-sendas"},
	{"Transaction failed. The server response was: 5.2.252 SendAsDenied; noreply@fabrikam.example not allowed to send as root@nas.local", "smtp-554-5.2.252-sendas"},
	{"553 5.7.1 <nas@fabrikam.example>: Sender address rejected: not owned by user mailer@fabrikam.example", "smtp-553-sender-not-owned"},
	{"501 5.1.7 Invalid address [DU2PR04CA0101.eurprd04.prod.outlook.com 2026-11-02T09:00:00Z]", "smtp-5.1.7-sender-address"},
	{"said: 550 5.1.8 <root@nas.lan>: Sender address rejected: Domain not found (in reply to RCPT TO command)", "smtp-5.1.8-sender-domain"},
	{"#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient trainee@fabrikam.example not found by SMTP address lookup##", "smtp-550-5.1.10"},
	{"mx.fabrikam.example #<mx.fabrikam.example #5.1.1 smtp;550 5.1.1 <trainee@fabrikam.example>: Recipient address rejected: User unknown> #SMTP#", "smtp-550-5.1.1"},
	{"550 5.4.310 DNS domain fabrikan.example does not exist [Message=InfoDomainNonexistent] [LastAttemptedServerName=fabrikan.example]", "smtp-5.4.x-recipient-domain"},
	{"550 5.7.124 RESOLVER.RST.SenderNotInAllowedList; sender not allowed; Delivery restriction check failed", "smtp-550-5.7.1-group"},
	{"550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized ##rfc822;allstaff@fabrikam.example", "smtp-550-5.7.1-group"},
	{"550 5.7.1 TRANSPORT.RULES.RejectMessage; Attachments of this kind are not allowed", "smtp-5.7.1-transport-rule"},
	{"550 5.7.515 Access denied, sending domain FABRIKAM.EXAMPLE doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements", "smtp-550-5.7.509-dmarc"},
	{"550 5.0.350 Remote server returned an error -> 550 High probability of spam", "smtp-5.0.350-recipient-system"},
	{"451 4.7.500 Server busy. Please try again later from [198.51.100.7]. (S77719) [AM7EUR03FT030.eop-EUR03.prod.protection.outlook.com]", "smtp-451-4.7.500-busy"},
	{"451 4.4.3 Temporary server error. Please try again later ATTR2 [VI1EUR05FT019.eop-eur05.prod.protection.outlook.com]", "smtp-451-prx"},
	{"454 4.7.0 Temporary authentication failure [AS9PR05CA0222.eurprd05.prod.outlook.com]", "smtp-454-auth-temporary"},
	{"554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception", "smtp-554-mailbox-full"},
	{"554 5.2.2 mailbox full", "smtp-554-mailbox-full"}, // Exchange speaks of the mailbox that sends
	{"452 4.2.2 The recipient's inbox is out of storage space and inactive. x11si123 - gsmtp", "smtp-5.2.2-recipient-full"},
	{"450 4.7.323 tlsa-invalid: The domain failed DANE validation. [Message=450 4.7.323]", "smtp-5.7.321-325-recipient-tls"},
	{"530 5.7.0 Must issue a STARTTLS command first. 5b1f17b1804b1-gsmtp", "smtp-451-starttls-required"},
	// Google.
	{"535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials ffacd0b85a97d-3fafd gsmtp", "gmail-535-5.7.8"},
	{"smtplib.SMTPAuthenticationError: (534, b'5.7.9 Application-specific password required. Learn more at https://support.google.com/mail/?p=InvalidSecondFactor')", "gmail-534-app-password"},
	{"534-5.7.14 <https://accounts.google.com/signin/continue?sarp=1> Please log in via your web browser and then try again.", "gmail-534-app-password"},
	{"421-4.7.28 Gmail has detected an unusual rate of email originating from your IP address.", "gmail-421-unsolicited-rate"},
	{"550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.", "smtp-5.7.23-26-unauthenticated"},
	{"552-5.7.0 This message was blocked because its content presents a potential security issue. Please visit 552 5.7.0 https://support.google.com/mail/?p=BlockedMessage", "gmail-content-blocked"},
	{"552-5.2.3 Your message exceeded Google's message size limits. Please visit https://support.google.com/mail/?p=MaxSizeError", "smtp-552-5.3.4-size"},
	{"450-4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", "gmail-recipient-rate"},
	{"oauth2: \"invalid_grant\" \"Token has been expired or revoked.\"", "google-token-revoked"},
	{"oauth2: cannot fetch token: 401 Unauthorized\nResponse: {\"error\":\"unauthorized_client\",\"error_description\":\"Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.\"}", "google-delegation"},
	{"Access blocked: mailer's request is invalid. Error 400: redirect_uri_mismatch", "google-redirect-mismatch"},
	{"Authorization Error\nError 400: admin_policy_enforced\nThis app is blocked by your organization's admin", "google-admin-policy"},
	{`{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}`, "google-jwt-signature"},
	// Entra: more codes.
	{"AADSTS1002012: The provided value for scope https://outlook.office.com/SMTP.Send is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI). Trace ID: 1f", "entra-1002012"},
	{"AADSTS7000229: The client application 8c6f is missing service principal in the tenant 1d2e. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119", "entra-7000229"},
	{"AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:mail:relay'. Please check your federated identity credential Subject, Audience and Issuer.", "entra-70021"},
	{"MSAL: error_codes [9002327] AADSTS9002327: Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.", "entra-9002327"},
	{"AADSTS50034: The user account {EmailHidden} does not exist in the fabrikam.example directory. To sign into this application, the account must be added to the directory.", "entra-50034"},
	{"Sign-in error code 50034? no: AADSTS500341: The user account has been deleted from the fabrikam.example directory.", "entra-500341"},
	{"AADSTS70044: The session has expired or is invalid due to sign-in frequency checks by conditional access.", "entra-70043"},
	{"HTTP/1.1 400 Bad Request {\"error\":\"invalid_request\",\"error_description\":\"AADSTS500113: No reply address is registered for the application.\\r\\nTrace ID: 12\"}", "entra-500113"},
	{"AADSTS650053: The application 'mailer' asked for scope 'SMTP.Sent' that doesn't exist on the resource '00000002-0000-0ff1-ce00-000000000000'.", "entra-650053"},
	{`{"error":"authorization_pending","error_description":"AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Continue polling."}`, "entra-70016"},
	// The way there, in other programs' words.
	{"ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1006)", "tls-unknown-authority"},
	{"Error: 140736:error:1408F10B:SSL routines:ssl3_get_record:wrong version number", "tls-not-tls"},
	{"Error: getaddrinfo ENOTFOUND smtp.office365.com", "net-no-such-host"},
	{"Error: connect ETIMEDOUT 52.98.243.2:587", "net-connect-timeout"},
	{"connect to smtp.office365.com[52.97.146.162]:587: Connection timed out", "net-connect-timeout"},
	{"smtplib: ConnectionRefusedError: [Errno 111] Connection refused", "net-connection-refused"},
	{"HTTP/1.1 407 Proxy Authentication Required", "net-proxy"},
	{"Unable to read data from the transport connection: An existing connection was forcibly closed by the remote host.", "net-reset"},
}

// strangers are lines that no entry may claim.
var strangers = []string{
	"the printer is on fire", "PC LOAD LETTER", "SCAN-0407 tray 2 empty", "lorem ipsum dolor sit amet, consectetur", "250 2.0.0 OK queued as 01JD3",
	"354 Start mail input; end with <CRLF>.<CRLF>", "220 smtp.office365.com Microsoft ESMTP MAIL Service ready", "235 2.7.0 Authentication successful",
	"panic: runtime error: index out of range [5] with length 3", "kernel: Out of memory: Killed process 407 (java)", "ORA-00942: table or view does not exist",
	"HTTP 404 Not Found", "version 5.7.601 of the driver is installed", "AADSTS is the prefix of Entra's codes", "order 550 of 5.7.2026 was shipped", "\xff\xfe\x80\x01",
	"disk usage 93% on /var", "Job 413 done at 5.3.40",
}

func TestExplainStrangers(t *testing.T) {
	t.Parallel()
	for _, text := range strangers {
		if found := explain(text); len(found) > 0 {
			t.Errorf("%q is explained by %s", text, found[0].ID)
		}
		if out, _, code := output("explain", "--json", text); code != exitFailed || strings.TrimSpace(out) != "[]" {
			t.Errorf("%q: exit %d, %s", text, code, out)
		}
	}
}

// Another entry beside the right one is worth its line only when it says something else.
func TestExplainWithoutNoise(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
		"invalid_grant: AADSTS700082: The refresh token has expired due to inactivity.",
		"535 5.7.3 Authentication unsuccessful [LO4P123CA0207]",
	} {
		if found := explain(text); len(found) != 1 {
			t.Errorf("%s: %d entries: %+v", text, len(found), found)
		}
	}
}

func TestExplainWild(t *testing.T) {
	t.Parallel()
	wrong := 0
	for _, w := range wild {
		for _, e := range diagnose.Entries() {
			if e.Example == w.text {
				t.Errorf("%s is the catalogue's own example", w.text)
			}
		}
		got := "nothing"
		if found := explain(w.text); len(found) > 0 {
			got = found[0].ID
		}
		if got != w.id {
			wrong++
			t.Errorf("%s\n\tis explained by %s, not %s", w.text, got, w.id)
		}
	}
	t.Logf("%d of %d right", len(wild)-wrong, len(wild))
}

func TestExplainBareCodes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"AADSTS7000215": "entra-7000215", "5.7.139": "smtp-535-5.7.139-other", "535 5.7.3": "smtp-535-5.7.3-xoauth2", "5.7.3": "smtp-535-5.7.3-xoauth2",
		"ErrorSendAsDenied": "graph-sendas-denied", "5.7.60": "smtp-550-5.7.60-sendas", "authorization_pending": "entra-authorization-pending",
		"error 5.1.8": "smtp-550-5.1.8", "ErrorAccessDenied": "graph-access-denied",
		"invalid_grant": "oauth-invalid-grant", "5.7.30": "smtp-550-5.7.30-basic-retired", "550 5.1.10": "smtp-550-5.1.10", "AADSTS50034": "entra-50034",
		"535": "", "5.7.1399": "", "AADSTS70002155": "", "hello": "",
	} {
		got := ""
		if found := explain(text); len(found) > 0 {
			got = found[0].ID
		}
		if got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}

func TestExplainCommand(t *testing.T) {
	t.Parallel()
	out, errs, code := output("explain", "AADSTS7000215:", "Invalid", "client", "secret")
	if code != 0 || !strings.Contains(out, "secret is wrong") || !strings.Contains(out, "\n  2. ") || errs != "" {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	c := command("explain", "--json")
	c.Stdin = strings.NewReader("535 5.7.3 Authentication\n unsuccessful [AB1]\r\n")
	data, err := c.Output()
	var found []map[string]string
	if jsonErr := json.Unmarshal(data, &found); err != nil || jsonErr != nil || len(found) == 0 {
		t.Fatalf("%v, %v: %s", err, jsonErr, data)
	}
	for _, key := range []string{"id", "class", "title", "fix", "ref", "text"} {
		if found[0][key] == "" {
			t.Errorf("%s is missing in %v", key, found[0])
		}
	}
	out, errs, code = output("explain", "--json", "the", "printer", "is", "on", "fire")
	if code != exitFailed || strings.TrimSpace(out) != "[]" || !strings.Contains(errs, "not in the catalogue") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if _, errs, code = output("explain"); code != exitUsage || !strings.Contains(errs, "which error?") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestExplainLog(t *testing.T) {
	t.Parallel()
	log := strings.Repeat("level=info accepted id=1\n", 1000) + "level=warn AADSTS53003 blocked\n" + strings.Repeat("x\n", 5000)
	found := explain(log)
	if len(found) != 1 || found[0].ID != "entra-53003" || found[0].Text != "level=warn AADSTS53003 blocked" {
		t.Errorf("%+v", found)
	}
}

func explain(text string) []explanation { return flat(errorsIn(text)) }
