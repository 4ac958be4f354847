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
		"535": "", "invalid_grant": "", "5.7.1399": "", "AADSTS70002155": "", "hello": "",
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
