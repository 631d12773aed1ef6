package tap

import (
	"io"
	"net/http"

	"github.com/stretchr/testify/assert"
)

// serverlessFake is a healthy runtime.
func serverlessFake(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/api/rivet/health":
		io.WriteString(w, "ok") //nolint:errcheck // the test sees it
	default:
		http.NotFound(w, req)
	}
}

// get asks the runtime by way of the tap.
func (r *rig) get(path string) string {
	req, err := http.NewRequestWithContext(bounded(r.t), http.MethodGet, "http://"+r.tap.Addresses().Serverless+path, nil)
	if !assert.NoError(r.t, err) {
		return ""
	}
	resp, err := r.client.http.Do(req)
	if !assert.NoError(r.t, err) {
		return ""
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	assert.NoError(r.t, err)
	return string(body)
}
