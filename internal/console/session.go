package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/org"
)

// session is a signed-in person.
type session struct {
	desk.Caller
	csrf string
}

type sessionKey struct{}

func callerOf(ctx context.Context) desk.Caller {
	s, _ := ctx.Value(sessionKey{}).(session)
	return s.Caller
}

// cookieName has the __Host- prefix over TLS: browsers then refuse it from any other host or over
// plain HTTP.
func (c *Console) cookieName() string {
	if c.opt.Secure {
		return "__Host-tocsin"
	}
	return "tocsin"
}

// session finds out who is signed in. It asks the desk each time: a token that was revoked is
// refused on the next request.
func (c *Console) session(r *http.Request) (session, error) {
	if c.desk == nil { // the folder is empty: nobody has an account
		return session{}, desk.ErrUnauthenticated
	}
	cookie, err := r.Cookie(c.cookieName())
	if err != nil || cookie.Value == "" || len(cookie.Value) > 512 {
		return session{}, desk.ErrUnauthenticated
	}
	id, err := c.desk.Authenticate(r.Context(), cookie.Value)
	if err != nil {
		return session{}, err
	}
	if id.Person == nil {
		return session{}, desk.ErrUnauthenticated // a machine's key is no session
	}
	return session{Caller: *id.Person, csrf: formToken(cookie.Value)}, nil
}

// formToken ties a form to the session it was rendered for. It is derived from the token alone, so
// forms survive a restart of the server; it cannot be turned back into the token.
func formToken(token string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("tocsin-form/v1"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// checkForm refuses a form that was not rendered for this session.
func checkForm(r *http.Request) error {
	s, _ := r.Context().Value(sessionKey{}).(session)
	if s.csrf == "" || !hmac.Equal([]byte(r.PostFormValue("csrf")), []byte(s.csrf)) {
		return errStale
	}
	return nil
}

// sessionHours is how long a browser keeps a session: a long shift.
const sessionHours = 12

func (c *Console) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.cookieName(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: c.opt.Secure, SameSite: http.SameSiteStrictMode,
	})
}

func (c *Console) signinPage(w http.ResponseWriter, r *http.Request) error {
	return c.render(w, r, http.StatusOK, signinView(c.frame(r, "Sign in"), local(r.URL.Query().Get("next")), nil))
}

func (c *Console) signin(w http.ResponseWriter, r *http.Request) error {
	token := strings.TrimSpace(r.PostFormValue("token"))
	next := local(r.PostFormValue("next"))
	refused := &trouble{Status: http.StatusForbidden, Title: "Not signed in", Text: "This token is not valid here. It is the one you got when you joined; if it is lost, ask an owner for a new link."}
	if token == "" || len(token) > 512 {
		return c.render(w, r, refused.Status, signinView(c.frame(r, "Sign in"), next, refused))
	}
	id, err := c.desk.Authenticate(r.Context(), token)
	if err != nil || id.Person == nil {
		return c.render(w, r, refused.Status, signinView(c.frame(r, "Sign in"), next, refused))
	}
	c.setCookie(w, token, sessionHours*3600)
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (c *Console) signout(w http.ResponseWriter, r *http.Request) error {
	c.setCookie(w, "", -1)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
	return nil
}

// joinPage shows whom the link is for and a button. Looking at a link does not use it up: mail
// scanners look at links too.
func (c *Console) joinPage(w http.ResponseWriter, r *http.Request) error {
	code := r.URL.Query().Get("code")
	if len(code) > 200 {
		code = ""
	}
	return c.render(w, r, http.StatusOK, joinView(c.frame(r, "Join"), code, nil))
}

func (c *Console) join(w http.ResponseWriter, r *http.Request) error {
	code := strings.TrimSpace(r.PostFormValue("code"))
	if code == "" || len(code) > 200 {
		return c.render(w, r, http.StatusUnprocessableEntity, joinView(c.frame(r, "Join"), "", &trouble{Title: "Not joined", Text: "The link's code is missing. Open the link again, or paste the code."}))
	}
	token := mint.New(mint.Token)
	by := desk.Caller{Principal: "service:join", Name: "invitation", Access: incident.Service}
	// A crash after the commit and before the answer loses the token: the code is used up and an
	// owner makes a new link. The other order would hand out a token that is not recorded.
	_, err := c.desk.SubmitOrg(r.Context(), "", by, org.Join{CodeHash: org.Hash(code), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())})
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			return err
		}
		t.Title = "Not joined"
		return c.render(w, r, http.StatusForbidden, joinView(c.frame(r, "Join"), code, t))
	}
	id, err := c.desk.Authenticate(r.Context(), token.Reveal())
	if err != nil || id.Person == nil {
		return fmt.Errorf("console: the token just recorded is not valid: %w", desk.ErrUnavailable)
	}
	c.setCookie(w, token.Reveal(), sessionHours*3600)
	f := c.frame(r, "Welcome")
	f.Who = *id.Person
	return c.render(w, r, http.StatusOK, joinedView(f, token.Reveal(), c.opt.Hour != nil && id.Person.Access == incident.Owner))
}

// local keeps a redirect on this site.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func urlQuery(s string) string { return url.QueryEscape(s) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
