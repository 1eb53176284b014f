#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace fastort::bindings {

// pybind11 gives an object that `__new__` alone has made memory without contents when a method is called on it. Its own
// way to pickle with the old protocols ends the process. Both are closed for the classes of this module, by whatever
// class's `__new__` they are tried, and so is giving an object another of these classes (`__class__ = `).

// Objects come from other calls only: `__new__` raises TypeError with `remedy`, and so does pickling.
void forbid_construction(const pybind11::object& type, const std::string& remedy);

// `__new__` makes a complete object; a later `__init__` without arguments changes nothing.
void construct_at_once(const pybind11::object& type);

// Pickling raises TypeError.
void forbid_pickling(const pybind11::object& type);

}  // namespace fastort::bindings
