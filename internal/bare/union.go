package bare

import "fmt"

// Union is a union whose variants are Go types that implement the interface
// T. Build it once with [NewUnion].
type Union[T any] struct {
	all []Variant[T]
}

// Variant is one case of a [Union].
type Variant[T any] struct {
	name  string
	since uint16
	is    func(T) bool
	visit func(*Codec, *T)
}

// NewUnion lists variants in the order of their tags. A variant that the
// codec's version does not have yet takes no tag.
func NewUnion[T any](variants ...Variant[T]) *Union[T] { return &Union[T]{all: variants} }

// Case is the variant V, whose fields are visited by fields. name is for
// errors and [Union.Name].
func Case[T, V any](name string, fields func(*Codec, *V)) Variant[T] {
	return Variant[T]{
		name: name,
		is:   func(x T) bool { _, ok := any(x).(V); return ok },
		visit: func(c *Codec, p *T) {
			v, _ := any(*p).(V)
			fields(c, &v)
			if !c.writing {
				*p, _ = any(v).(T)
			}
		},
	}
}

// Void is a variant without fields.
func Void[T, V any](name string) Variant[T] {
	return Case[T](name, func(*Codec, *V) {})
}

// Since says that the variant came with a version of the schema.
func (v Variant[T]) Since(version uint16) Variant[T] {
	v.since = version
	return v
}

// Visit visits a union. To be written, *p must be one of the variants that
// the codec's version has, and not a pointer to one.
func (u *Union[T]) Visit(c *Codec, field string, p *T) {
	if c.err != nil {
		return
	}
	if c.writing {
		u.write(c, field, p)
	} else {
		u.read(c, field, p)
	}
}

func (u *Union[T]) read(c *Codec, field string, p *T) {
	n := 0
	for _, v := range u.all {
		if v.since <= c.Version {
			n++
		}
	}
	tag := c.tag(field, 0, n)
	for i := 0; i < len(u.all) && c.err == nil; i++ {
		v := &u.all[i]
		if v.since > c.Version {
			continue
		}
		if tag == 0 {
			v.visitIn(c, field, p)
			return
		}
		tag--
	}
}

func (u *Union[T]) write(c *Codec, field string, p *T) {
	tag := 0
	for i := range u.all {
		v := &u.all[i]
		switch {
		case v.is(*p) && v.since > c.Version:
			c.Fail(field, fmt.Errorf("%w: %s, from %d on, in %d", ErrVersion, v.name, v.since, c.Version))
			return
		case v.is(*p):
			c.tag(field, tag, len(u.all))
			v.visitIn(c, field, p)
			return
		case v.since <= c.Version:
			tag++
		}
	}
	c.Fail(field, fmt.Errorf("%w: %T", ErrMissing, *p))
}

func (v *Variant[T]) visitIn(c *Codec, field string, p *T) {
	v.visit(c, p)
	if c.err != nil {
		if field != "" {
			field += "."
		}
		c.prefix(field+v.name, false)
	}
}

// Name is the name of x's variant, "" if it is none.
func (u *Union[T]) Name(x T) string {
	for i := range u.all {
		if u.all[i].is(x) {
			return u.all[i].name
		}
	}
	return ""
}
