package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The resource that agents guard: the rules of RBAC name it, though the API server has no such
// kind. "nodes/snapshot" may be got, "nodes/probe" created, "nodes/status" got.
const (
	AgentGroup    = "plumbnet.github.io"
	AgentResource = "nodes"
)

// A User is who the API server says that the bearer of a token is.
type User struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// ErrToken means that the API server does not know a token, or not for this audience.
var ErrToken = errors.New("the token is not valid for audience")

// Review asks the API server whose a token for an audience is, such as that of [Audience]; "" is the API server itself.
// [ErrToken] is its no; any other error means that it could not be asked.
func (c *Client) Review(ctx context.Context, token, audience string) (User, error) {
	t := target{verb: "create", group: "authentication.k8s.io", version: "v1", resource: "tokenreviews"}
	in := authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token},
	}
	if audience != "" {
		in.Spec.Audiences = []string{audience}
	}
	var out authenticationv1.TokenReview
	if err := c.call(ctx, t, in, &out); err != nil {
		return User{}, err
	}
	// A server that knows nothing of audiences authenticates the token, and lists none.
	if !out.Status.Authenticated || audience != "" && !slices.Contains(out.Status.Audiences, audience) {
		return User{}, fmt.Errorf("%w %s", ErrToken, cmp.Or(audience, "of the API server"))
	}
	u := User{Name: out.Status.User.Username, UID: out.Status.User.UID, Groups: out.Status.User.Groups, Extra: map[string][]string{}}
	for k, v := range out.Status.User.Extra {
		u.Extra[k] = v
	}
	return u, nil
}

// Allowed asks the API server whether a user may do verb with a subresource ("snapshot") of a
// node, and the reason that the server gives.
func (c *Client) Allowed(ctx context.Context, u User, verb, subresource, node string) (bool, string, error) {
	t := target{verb: "create", group: "authorization.k8s.io", version: "v1", resource: "subjectaccessreviews"}
	in := authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: u.Name, UID: u.UID, Groups: u.Groups, Extra: map[string]authorizationv1.ExtraValue{},
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: AgentGroup, Resource: AgentResource, Subresource: subresource, Name: node},
		},
	}
	for k, v := range u.Extra {
		in.Spec.Extra[k] = v
	}
	var out authorizationv1.SubjectAccessReview
	if err := c.call(ctx, t, in, &out); err != nil {
		return false, "", err
	}
	return out.Status.Allowed && !out.Status.Denied, out.Status.Reason, nil
}
