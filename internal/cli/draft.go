package cli

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/tocsin-ir/tocsin/client"
)

// redraft gives the body of a draft command what the draft it names holds already: the subject when
// none is given, and every content item that is not. The server replaces a draft as a whole, and a
// refusal names the missing items one by one; each can then be added alone. A notice that is not
// there is left for the server to refuse.
func redraft(ctx context.Context, server *client.Client, incident string, body map[string]any) error {
	notice, _ := body["notice"].(string)
	if corrects, _ := body["corrects"].(string); notice == "" {
		notice = corrects // a correction begins with the words it corrects
	}
	if notice == "" {
		return nil
	}
	raw, err := server.Incident(ctx, incident)
	if err != nil {
		return err
	}
	var state struct {
		Notices []struct {
			ID      string            `json:"id"`
			Subject string            `json:"subject"`
			Content map[string]string `json:"content"`
		} `json:"notices"`
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return &failure{text: "the server's answer cannot be read: " + err.Error(), hint: "is the server of the same version as the command?"}
	}
	for _, n := range state.Notices {
		if n.ID != notice {
			continue
		}
		if subject, _ := body["subject"].(string); subject == "" {
			body["subject"] = n.Subject
		}
		content := maps.Clone(n.Content)
		if content == nil {
			content = map[string]string{}
		}
		given, _ := body["content"].(map[string]string)
		maps.Copy(content, given)
		body["content"] = content
	}
	return nil
}
