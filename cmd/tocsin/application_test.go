package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

// application is an app of a vendor: orders behind tokens, an endpoint that revokes a token, and
// webhooks signed with a secret from a file.
type application struct {
	mu     sync.Mutex
	tokens map[string]bool // by secret value; guarded by mu
	env    string
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch r.Method + " " + r.URL.Path {
	case "GET /healthz":
		io.WriteString(w, "ok\n")
	case "GET /orders":
		if !a.tokens[bearer] {
			http.Error(w, "token", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "[]\n")
	case "POST /admin/tokens/revoke":
		var ask struct{ Credential string }
		if bearer != "the-admin-secret" || json.Unmarshal(body, &ask) != nil {
			http.Error(w, "admin", http.StatusForbidden)
			return
		}
		for token := range a.tokens { // the app knows its tokens by their beginning
			if strings.HasPrefix(token, ask.Credential) {
				delete(a.tokens, token)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	case "POST /webhooks/ping":
		file, err := os.ReadFile(a.env)
		if err != nil {
			http.Error(w, "env", http.StatusInternalServerError)
			return
		}
		_, secret, _ := strings.Cut(strings.TrimSpace(string(file)), "SHOPIFY_WEBHOOK_SECRET=")
		mac := hmac.New(sha256.New, []byte(strings.Trim(secret, `"'`)))
		mac.Write(body)
		if !hmac.Equal([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("X-Shopify-Hmac-Sha256"))) {
			http.Error(w, "signature", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "pong\n")
	default:
		http.NotFound(w, r)
	}
}
