package victim

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// postRevoke makes every token with the credential id useless. Revoking one that is gone already
// answers the same: the caller may be asking a second time.
func (v *Victim) postRevoke(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Credential string `json:"credential"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&body); err != nil || body.Credential == "" {
		http.Error(w, `send {"credential":"tok_…"}`, http.StatusBadRequest)
		return
	}
	v.mu.Lock()
	for token := range v.tokens {
		if CredentialID(token) == body.Credential {
			delete(v.tokens, token)
		}
	}
	v.mu.Unlock()
	v.noteAdmin(r, http.StatusNoContent)
	w.WriteHeader(http.StatusNoContent)
}

// postToken issues a new token under a name.
func (v *Victim) postToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&body); err != nil || body.Name == "" {
		http.Error(w, `send {"name":"back-office"}`, http.StatusBadRequest)
		return
	}
	token := "app_" + rand.Text()
	v.mu.Lock()
	v.tokens[token] = body.Name
	v.mu.Unlock()
	v.noteAdmin(r, http.StatusCreated)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"token": token, "credential": CredentialID(token)})
}

// ping is a request that is taken when its signature was made with a secret that stands in the env
// file now: a webhook, or a session.
func (v *Victim) ping(key, header string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		status := http.StatusUnauthorized
		if secret, err := readEnv(v.c.EnvFile, key); err == nil && secret != "" && signed(body, secret, r.Header.Get(header)) {
			status = http.StatusOK
		}
		v.noteAdmin(r, status)
		w.WriteHeader(status)
	}
}

func signed(body []byte, secret, signature string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return subtle.ConstantTimeCompare([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(signature)) == 1
}

// readEnv reads one key of an env file. The file is read for every webhook: it is small, and a
// rotated secret counts from the next request on.
func readEnv(path, key string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("victim: env file: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for s.Scan() {
		k, value, ok := strings.Cut(strings.TrimSpace(s.Text()), "=")
		if ok && strings.TrimSpace(k) == key {
			return strings.Trim(strings.TrimSpace(value), `"'`), nil
		}
	}
	return "", s.Err()
}

func (v *Victim) noteAdmin(r *http.Request, status int) {
	v.log.add(Line{Time: drillTime(r), Method: r.Method, Path: r.URL.Path, IP: address(r), Agent: r.UserAgent(), Status: status})
	v.log.flush()
}
