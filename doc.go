// Package plumb is the root of the module; it holds only its tests.
package plumb
