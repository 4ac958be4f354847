package config

import "slices"

// flow says which keys of [account.oauth] belong to a way of getting tokens. scopes belongs to all of them.
type flow struct {
	name  string
	app   bool     // the application signs in for itself; otherwise a person did once
	needs []string // must be set
	may   []string // may be set
}

// flows are all that there are; the order is the one of the documentation.
var flows = []flow{
	{
		name: "client-certificate", app: true,
		needs: []string{"tenant", "client_id"}, // certificate has a default
		may:   []string{"certificate", "certificate_key", "certificate_password"},
	},
	{
		name: "client-secret", app: true,
		needs: []string{"tenant", "client_id", "client_secret"},
		may:   []string{"client_secret_expires"},
	},
	{
		name:  "device-code",
		needs: []string{"tenant", "client_id"},
	},
	{
		name:  "browser",
		needs: []string{"tenant", "client_id"},
		may:   []string{"client_secret", "client_secret_expires", "certificate", "certificate_key", "certificate_password"},
	},
	{
		name: "managed-identity", app: true,
		may: []string{"tenant", "client_id"}, // client_id chooses a user-assigned one
	},
	{
		name: "federated-token", app: true,
		needs: []string{"tenant", "client_id", "token_file"},
	},
	{
		name: "service-account", app: true,
		needs: []string{"service_account_file"},
	},
}

func flowNamed(name string) *flow {
	for i := range flows {
		if flows[i].name == name {
			return &flows[i]
		}
	}
	return nil
}

func (f *flow) takes(key string) bool {
	return key == "flow" || key == "scopes" || slices.Contains(f.needs, key) || slices.Contains(f.may, key)
}

// flowsTaking lists the flows that a key belongs to.
func flowsTaking(key string) (names []string) {
	for _, f := range flows {
		if f.takes(key) {
			names = append(names, f.name)
		}
	}
	return names
}
