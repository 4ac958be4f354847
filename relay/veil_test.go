package relay

import (
	"slices"
	"strings"
	"testing"
)

// Names as old Japanese devices write them: 山田, and 山下石川, in whose letters are a < and two @.
const (
	yamada    = "\x1b$B;3ED\x1b(B"
	yamashita = "\x1b$B;32<@P@n\x1b(J"
)

// TestJapaneseStays: raw ISO-2022-JP passes octet for octet in every field, and an author who is called so is known.
func TestJapaneseStays(t *testing.T) {
	t.Parallel()
	for _, name := range []string{yamada, yamashita, "\x1b(I;^@<\x1b(B", "\x1b$@;3ED\x1b$(D0!\x1b(I1\x1b(B x \x1b$B\"(\x1b(B"} {
		for _, in := range []string{
			"From: " + name + " <yamada@contoso.example>",
			"From: \"" + name + "\" <yamada@contoso.example>",
			"From: yamada@contoso.example (" + name + ")",
			"From: a@b.example, " + name + " " + name + "\r\n <yamada@contoso.example>\r\nSender: " + name + " <a@b.example>",
			"From: a@b.example\r\nTo: " + name + " <x@b.example>\r\nCc: \"" + name + "\" <x@b.example>\r\nReply-To: x@b.example (" + name + ")",
			"From: a@b.example\r\nContent-Type: text/plain; name=\"" + name + ".txt\"\r\nContent-Disposition: attachment; filename=\"" + name + ".txt\"",
			"From: a@b.example\r\nKeywords: " + name + "\r\nTo: \xe9 " + name + " <x@b.example>",
		} {
			m := testMender(false)
			in = mended + in + "\r\n\r\nbody\r\n"
			if got, err := mendText(t, in, m); got != in || err != nil || len(m.done) > 0 {
				t.Errorf("%q became\n%q (%v, %q)", in, got, err, m.done)
			}
		}
		list := AddressList("b@c.example, " + name + " <x@b.example>; \"" + name + "\" <y@b.example>, z@b.example (" + name + ")")
		if len(list) != 4 || list[1].Name != name || list[2].Address != "y@b.example" || list[3].Address != "z@b.example" {
			t.Errorf("%q: %q", name, list)
		}
	}
}

// TestForeignNames: a name in a charset that Go does not know is a name, and stays the same one where the field has to
// be written anew.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	const jis, word = "=?iso-2022-jp?b?GyRCOzNFRBsoQg==?=", "=?windows-1252?Q?M=FCller?="
	for in, want := range map[string][2]string{ // with and without from = "rewrite"
		word + " <a@b.example>":                          {"", word + " <m@example.test>\r\nReply-To: " + word + " <a@b.example>"},
		jis + " (x) <a@b.example>":                       {"", jis + " <m@example.test>\r\nReply-To: " + jis + " (x) <a@b.example>"},
		yamada + " <a@b.example>":                        {"", jis + " <m@example.test>\r\nReply-To: " + yamada + " <a@b.example>"},
		word + " <root@localhost>":                       {word + " <m@example.test>", word + " <m@example.test>\r\nReply-To: " + word + " <root@localhost>"},
		word:                                             {word + " <m@example.test>", word + " <m@example.test>"},
		yamada + " <>":                                   {jis + " <m@example.test>", jis + " <m@example.test>"},
		yamada:                                           {jis + " <m@example.test>", jis + " <m@example.test>"},
		yamada + "@b.example":                            {jis + " =?utf-8?q?=40b=2Eexample?= <m@example.test>", ""},
		"Doe, " + word + " <a@b.example>":                {"=?utf-8?q?Doe=2C_?= " + word + " <a@b.example>", ""},
		"Doe, " + yamada + " <a@b.example>":              {"=?utf-8?q?Doe=2C_?= " + jis + " <a@b.example>", ""},
		yamada + " " + yamada + " <>":                    {jis + " =?utf-8?q?_?= " + jis + " <m@example.test>", ""},
		"Q. " + word + "  " + word + " <>":               {"=?utf-8?q?Q=2E_?= " + word + " " + word + " <m@example.test>", ""},
		"\x1b$B;3ED <a@b.example>":                       {"\"$B;3ED\" <a@b.example>", ""},
		"=?windows-1252?Q?<x@y.example>?= <a@b.example>": {"=?windows-1252?Q??= <a@b.example>", ""},
	} {
		for i, rewrite := range []bool{false, true} {
			want := want[i]
			if want == "" && rewrite {
				continue
			}
			if want == "" {
				want = in
			}
			m := testMender(rewrite)
			got, err := mendText(t, mended+"From: "+in+"\r\n\r\nbody\r\n", m)
			if want := mended + "From: " + want + "\r\n\r\nbody\r\n"; got != want || err != nil {
				t.Errorf("%q (rewrite %v) became\n%q (%v, %q), want\n%q", in, rewrite, got, err, m.done, want)
			}
			if again, err := mendText(t, got, testMender(rewrite)); again != got || err != nil {
				t.Errorf("%q became %q (%v)", got, again, err)
			}
		}
	}
}

// TestJapaneseSenders: `senders` sees the address behind such a name, and any other that it might hide.
func TestJapaneseSenders(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		yamada + " <a@b.example>":                                      "",
		"\"" + yamashita + "\" <a@b.example>":                          "",
		"a@b.example (" + yamashita + ")":                              "",
		"=?iso-2022-jp?B?GyRCOzNFRBsoQg==?= <a@b.example>":             "",
		yamada + " <c@b.example>":                                      "<c@b.example>",
		"\x1b$B<evil@bad.example>\x1b(B <a@b.example>":                 "<evil@bad.example>",
		"\x1b(B <a@b.example>, \") evil@bad.example (\" <a@b.example>": "<evil@bad.example>",
		"\x1b$B<evil@[1.2.3.4]>\x1b(B <a@b.example>":                   "<evil@[1.2.3.4]>",
		"\x1b$B;;<evil@x.lan>\x1b(B <a@b.example>":                     "cannot be read",
		"\x1b$B;;<x@(c)bad.example>\x1b(B <a@b.example>":               "cannot be read",
	} {
		for _, signature := range []string{"", "DKIM-Signature: x\r\n"} {
			got := checkedHeader(t, signature+"From: "+from+"\r\n", false)
			if (got == "") != (want == "") || signature == "" && !strings.Contains(got, want) {
				t.Errorf("%q %q: %q, want %q", signature, from, got, want)
			}
		}
	}
}

// TestVeil: what is covered, and that lifting gives it back.
func TestVeil(t *testing.T) {
	t.Parallel()
	for in, pieces := range map[string][]string{
		"a " + yamada + "b" + yamashita:   {yamada, yamashita},
		"\x1b(Ba":                         {"\x1b(B"},
		"\x1b$B;3E\x1b(B":                 {"\x1b(B"},
		"\x1b$B;3 E\x1b(B":                {"\x1b(B"},
		"\x1b$B;3ED":                      nil,
		"=?utf-8?q?a?= =?GBK?q?b?= =?x?=": {"=?GBK?q?b?="},
		"\U000f0000" + yamada:             nil,
		strings.Repeat("\x1b$B;3", 9):     nil,
	} {
		text, v := veiled(in)
		if !slices.Equal(v.pieces, pieces) || v.lift(text) != in {
			t.Errorf("%q: %q, %q", in, text, v.pieces)
		}
	}
	for _, address := range []string{yamada + "@b.example", "<a@b" + yamada + ".example>", "\"" + yamada + "\"@b.example"} {
		if list, err := parseList(address); err == nil {
			t.Errorf("%q was read as %q", address, list)
		}
	}
}
