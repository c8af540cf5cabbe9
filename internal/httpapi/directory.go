package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/ledger"
)

const (
	maxMerchantFile = 128 << 20 // bytes of one CSV
	maxSecret       = 64 << 10  // bytes of one secret
)

// Merchant is one row of the directory.
type Merchant struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Stores        []MerchantStore   `json:"stores" nullable:"false"`
	Emails        []string          `json:"emails" nullable:"false"`
	Channels      map[string]string `json:"channels,omitempty" doc:"where else it is told: the id of a Slack channel, of a Basecamp message board"`
	Phone         string            `json:"phone,omitempty"`
	Language      string            `json:"language,omitempty"`
	Zone          string            `json:"zone,omitempty"`
	Country       string            `json:"country,omitempty"`
	ContractHours int               `json:"contract_hours,omitempty"`
	Installed     time.Time         `json:"installed,omitzero"`
	Uninstalled   time.Time         `json:"uninstalled,omitzero"`
}

// MerchantStore is one store of a merchant.
type MerchantStore struct {
	ID     string `json:"id"`
	Domain string `json:"domain"`
}

// Imported says what came of an import.
type Imported struct {
	Imported int           `json:"imported"`
	Rejected []desk.Reject `json:"rejected" nullable:"false"`
}

type merchantsInput struct {
	After string `query:"after" maxLength:"128" doc:"id of the last merchant of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type merchantsOutput struct {
	Body struct {
		Merchants []Merchant `json:"merchants" nullable:"false"`
		Next      string     `json:"next,omitempty" doc:"give it as after to get the next page"`
	}
}

func (a *API) registerDirectory(d Directory) {
	op := operation("import-merchants", http.MethodPost, "/v1/merchants", owners, "Import the merchant directory")
	op.Tags, op.Errors = []string{"directory"}, append(op.Errors, http.StatusRequestEntityTooLarge)
	op.RequestBody = &huma.RequestBody{Required: true, Description: "columns merchant,name,store,domain,email,email_2,phone,language,zone,country,contract_hours,installed,uninstalled,slack,basecamp",
		Content: map[string]*huma.MediaType{"text/csv": {}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "how many came in, and which lines did not",
		Content: map[string]*huma.MediaType{"application/json": {Schema: a.schema(Imported{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(2 * time.Minute))
		n, rejected, err := d.ImportMerchants(r.Context(), callerOf(r.Context()), http.MaxBytesReader(w, r.Body, maxMerchantFile))
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Imported{Imported: n, Rejected: full(rejected)})
		return nil
	})

	op = operation("merchants", http.MethodGet, "/v1/merchants", viewers, "The merchant directory, a page at a time")
	op.Tags = []string{"directory"}
	huma.Register(a.huma, op, func(ctx context.Context, in *merchantsInput) (*merchantsOutput, error) {
		rows, err := d.Merchants(ctx, in.After, in.Limit)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &merchantsOutput{}
		out.Body.Merchants = make([]Merchant, 0, len(rows))
		for _, m := range rows {
			out.Body.Merchants = append(out.Body.Merchants, merchantOf(m))
		}
		if len(rows) == in.Limit {
			out.Body.Next = rows[len(rows)-1].ID
		}
		return out, nil
	})

	op = operation("put-secret", http.MethodPut, "/v1/secrets/{name}", responders, "Write a named secret; it can never be read back")
	op.Tags, op.Errors = []string{"directory"}, append(op.Errors, http.StatusRequestEntityTooLarge)
	op.Parameters = []*huma.Param{{Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {}}}
	op.Responses = map[string]*huma.Response{"204": {Description: "written"}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSecret))
		if err != nil {
			return err
		}
		defer clear(value)
		if len(value) == 0 {
			return fmt.Errorf("the secret is empty: %w", desk.ErrInvalid)
		}
		if err := d.PutSecret(r.Context(), callerOf(r.Context()), r.PathValue("name"), value); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func merchantOf(m ledger.Merchant) Merchant {
	stores := make([]MerchantStore, 0, len(m.Stores))
	for _, s := range m.Stores {
		stores = append(stores, MerchantStore{ID: s.ID, Domain: s.Domain})
	}
	return Merchant{
		ID: m.ID, Name: m.Name, Stores: stores, Emails: full(m.Emails), Channels: m.Channels, Phone: m.Phone, Language: m.Language, Zone: m.Zone,
		Country: m.Country, ContractHours: m.ContractHours, Installed: m.Installed, Uninstalled: m.Uninstalled,
	}
}
