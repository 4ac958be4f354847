package spooltest

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

var putTests = []test{
	{name: "Put keeps the text octet for octet", run: textIsKept},
	{name: "Put keeps the envelope", run: envelopeIsKept},
	{name: "Put makes the message due at once", run: dueAtOnce},
	{name: "Put takes the body over", run: bodyIsTaken},
	{name: "Put refuses an id that is there", run: sameID},
	{name: "Put refuses what it could not give back", run: unstorable},
	{name: "Put ended by its context leaves nothing", run: putCancelled},
	{name: "Put refuses past max_size", maxSize: 1000, run: full},
	{name: "Body that is discarded leaves nothing", run: discard},
	{name: "Body is read before it is put", run: readBeforePut},
	{name: "Put from many goroutines", run: putMany},
}

func textIsKept(k *kit) {
	line := "8bit \xff\x00\r\n.dot\n"
	for _, size := range []int{0, 1, 4096, spool.InlineLimit - 1, spool.InlineLimit, spool.InlineLimit + 1, 1 << 20} {
		text := strings.Repeat(line, size/len(line)+1)[:size]
		env := k.envelope()
		b := k.NewBody(env.ID)
		for rest := text; rest != ""; {
			n := min(len(rest), 7001)
			wrote, err := b.Write([]byte(rest[:n]))
			k.ok(err)
			k.must(wrote == n, "wrote %d of %d", wrote, n)
			rest = rest[n:]
		}
		k.must(b.Size() == int64(size), "size %d, want %d", b.Size(), size)
		k.ok(k.Put(k.ctx, env, b, false))
		for range 2 {
			k.must(k.text(env.ID) == text, "the text of %d octets came back otherwise", size)
		}
		got := k.get(env.ID).Envelope.Size
		k.must(got == int64(size), "Size is %d, want %d", got, size)
	}
}

func envelopeIsKept(k *kit) {
	env := k.envelope("one@example.com", "zwei@exämple.com")
	env.Client = mail.Client{Address: "10.0.0.1:25", Name: "printer<1>", User: "scan", TLS: "TLS 1.3", Listener: "127.0.0.1:2525"}
	env.EightBit, env.SMTPUTF8, env.Return, env.EnvelopeID = true, true, "HDRS", "QQ+2B314"
	env.Recipients[0].Notify = []string{"SUCCESS", "FAILURE"}
	env.Recipients[0].Original = "rfc822;one@example.com"
	want := *env
	want.Recipients = append([]mail.Recipient(nil), env.Recipients...)
	b := k.body(env.ID, "text")
	want.Size = b.Size()
	k.ok(k.Put(k.ctx, env, b, false))
	env.Sender, env.Recipients[0].Address = "changed", "changed" // it is the caller's again
	if diff := cmp.Diff(want, k.get(want.ID).Envelope); diff != "" {
		k.Error("Get:", diff)
	}
	if diff := cmp.Diff(&want, k.claim()[0].Envelope); diff != "" {
		k.Error("Claim:", diff)
	}
}

func dueAtOnce(k *kit) {
	ahead := k.envelope()
	ahead.Received = k.now.Add(240 * time.Hour) // a clock that was wrong
	bare := k.envelope()
	bare.Received, bare.Recipients[0].State = time.Time{}, ""
	k.putEnvelope(ahead, false)
	k.putEnvelope(bare, false)
	req := k.request()
	req.Now = time.Now()
	claimed := k.claimBy(req)
	k.must(len(claimed) == 2, "claimed %d of 2", len(claimed))
	state := claimed[1].Envelope.Recipients[0].State
	k.must(state == mail.Pending, "a recipient without a state is %q", state)
}

func bodyIsTaken(k *kit) {
	env := k.envelope()
	b := k.body(env.ID, "text")
	k.ok(k.Put(k.ctx, env, b, false))
	b.Discard()
	k.must(k.text(env.ID) == "text", "Discard after Put took the text away")
	_, err := b.Write([]byte("more"))
	k.must(err != nil, "wrote to a text that was put")
	k.must(k.Put(k.ctx, env, b, false) != nil, "put the same text twice")

	refused := k.envelope()
	refused.Recipients = nil
	b = k.body(refused.ID, strings.Repeat("x", spool.InlineLimit+1))
	k.must(k.Put(k.ctx, refused, b, false) != nil, "put a message without recipients")
	refused.Recipients = env.Recipients
	k.must(k.Put(k.ctx, refused, b, false) != nil, "the text outlived a Put that failed")
}

func sameID(k *kit) {
	env := k.envelope()
	k.putEnvelope(env, false)
	again := *env
	again.Sender = "other@example.com"
	k.must(k.Put(k.ctx, &again, k.body(again.ID, "other"), false) != nil, "put one id twice")
	k.must(k.get(env.ID).Envelope.Sender == env.Sender, "the second message replaced the first")
	k.must(k.text(env.ID) == "text of "+env.ID.String(), "the second text replaced the first")
}

func unstorable(k *kit) {
	for name, spoil := range map[string]func(*mail.Envelope){
		"no id":                    func(e *mail.Envelope) { e.ID = 0 },
		"another id than its text": func(e *mail.Envelope) { e.ID++ },
		"no recipient":             func(e *mail.Envelope) { e.Recipients = nil },
		"a recipient not UTF-8":    func(e *mail.Envelope) { e.Recipients[0].Address = "\xff@example.com" },
		"a sender not UTF-8":       func(e *mail.Envelope) { e.Sender = "\xff@example.com" },
		"a sender with NUL":        func(e *mail.Envelope) { e.Sender = "\x00@example.com" },
	} {
		env := k.envelope()
		b := k.body(env.ID, "text")
		spoil(env)
		k.must(k.Put(k.ctx, env, b, true) != nil, "put a message with %s", name)
	}
	k.must(len(k.claim()) == 0, "a refused message is in the spool")
	k.must(len(k.Watched("a")) == 0, "a refused message is watched")
}

func putCancelled(k *kit) {
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	env := k.envelope()
	err := k.Put(ctx, env, k.body(env.ID, "text"), true)
	k.must(errors.Is(err, context.Canceled), "got %v", err)
	_, err = k.Get(k.ctx, env.ID)
	k.must(errors.Is(err, spool.ErrNotFound), "got %v", err)
	_, known := k.Wait(k.ctx, env.ID)
	k.must(!known, "there is an outcome for a message that was not put")
}

// full: what is delivered or forgotten makes room, what is failed does not, because its text is kept.
func full(k *kit) {
	put := func(size int, watch bool) (mail.ID, error) {
		env := k.envelope()
		return env.ID, k.Put(k.ctx, env, k.body(env.ID, strings.Repeat("x", size)), watch)
	}
	fits := func(size int, want bool) {
		k.Helper()
		id, err := put(size, false)
		if want {
			k.ok(err)
			k.claimOnly(id)
			k.settle(id, mail.Delivered)
			return
		}
		k.must(errors.Is(err, spool.ErrFull), "got %v, want ErrFull", err)
		_, err = k.Get(k.ctx, id)
		k.must(errors.Is(err, spool.ErrNotFound), "a message that did not fit is in the spool")
	}
	fits(1001, false)
	fits(1000, true)
	first, err := put(600, true)
	k.ok(err)
	fits(401, false)
	fits2, err := put(400, false)
	k.ok(err)
	k.must(len(k.claim()) == 2, "not both were claimed")
	k.settle(first, mail.Failed)
	fits(1, false)
	k.ok(k.putReport(mail.KindFailure, first)) // or what failed could never be told, and never be purged
	k.settle(fits2, mail.Delivered)
	fits(400, true)
	k.ok(k.Forget(k.ctx, first))
	fits(1000, true)
}

func discard(k *kit) {
	for _, size := range []int{10, spool.InlineLimit + 1} {
		env := k.envelope()
		b := k.body(env.ID, strings.Repeat("x", size))
		b.Discard()
		b.Discard()
		k.must(k.Put(k.ctx, env, b, false) != nil, "put a text that was given up")
		k.ok(k.Put(k.ctx, env, k.body(env.ID, strings.Repeat("y", size)), false)) // nothing stands in the way
		k.must(k.text(env.ID) == strings.Repeat("y", size), "another text came back")
	}
}

func readBeforePut(k *kit) {
	for _, size := range []int{0, 10, spool.InlineLimit + 1} {
		env, text := k.envelope(), strings.Repeat("x", size)
		b := k.body(env.ID, text)
		for range 2 {
			r, err := b.Reader()
			k.ok(err)
			got, err := io.ReadAll(r)
			k.ok(err)
			k.ok(r.Close())
			k.must(string(got) == text, "%d octets came back of %d", len(got), size)
		}
		_, err := b.Write([]byte("yz"))
		k.ok(err)
		k.ok(k.Put(k.ctx, env, b, false))
		k.must(k.text(env.ID) == text+"yz", "another text was kept")
		_, err = b.Reader()
		k.must(err != nil, "a text could be read after it was put")
	}
}

func putMany(k *kit) {
	const workers, each = 16, 10
	envs := make([]*mail.Envelope, workers*each)
	for i := range envs {
		envs[i] = k.envelope()
	}
	errs := make(chan error)
	for w := range workers {
		go func() {
			for i := range each {
				env := envs[w*each+i]
				b := k.NewBody(env.ID)
				_, _ = b.Write([]byte(env.ID.String()))
				errs <- k.Put(k.ctx, env, b, false)
			}
		}()
	}
	for range envs {
		k.ok(<-errs)
	}
	for _, env := range envs {
		k.must(k.text(env.ID) == env.ID.String(), "%s has another's text", env.ID)
	}
}
