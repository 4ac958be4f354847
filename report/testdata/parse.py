"""Reads a message on standard input with Python's own parser, which shares no code with the writer, and prints what it
found as JSON."""
import email, email.policy, email.utils, json, sys

raw = sys.stdin.buffer.read()
m = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)


def walk(m):
    return [str(d) for p in m.walk() for d in p.defects]


def addresses(m, name):
    # Python's structured parser does not know raw UTF-8 (RFC 6532); its older one does.
    values = [v.encode("ascii", "surrogateescape").decode("utf-8") for k, v in m.raw_items() if k.lower() == name]
    return [a for _, a in email.utils.getaddresses(values)]


def part(p):
    d = {"type": p.get_content_type(), "encoding": str(p.get("content-transfer-encoding", ""))}
    if p.get_content_type() == "message/delivery-status":
        d["groups"] = [[[k, " ".join(str(v).split())] for k, v in g.items()] for g in p.get_payload()]
    elif p.get_content_maintype() == "message":
        inner = p.get_payload(0)
        d["headers"] = [[k, str(v)] for k, v in inner.items()]
        d["text"] = inner.get_payload(decode=False) if not inner.is_multipart() else ""
    else:
        d["text"] = p.get_payload(decode=True).decode("utf-8", "replace")
    return d


parts = list(m.iter_parts()) if m.is_multipart() else [m]
json.dump({
    "headers": [[k, str(v)] for k, v in m.items()],
    "type": m.get_content_type(),
    "report_type": m.get_param("report-type") or "",
    "parts": [part(p) for p in parts],
    "to": addresses(m, "to"),
    "from": addresses(m, "from"),
    "defects": walk(m),
}, sys.stdout)
