#include "graph/attributes.h"

#include <algorithm>

namespace fastort {
namespace {

const char* kind_name(const Attribute& value) {
  static constexpr const char* kNames[] = {"an int",
                                           "a float",
                                           "a string",
                                           "a tensor",
                                           "a list of ints",
                                           "a list of floats",
                                           "a list of strings",
                                           "a list of tensors",
                                           "a graph",
                                           "a sparse tensor",
                                           "a type"};
  static_assert(std::size(kNames) == std::variant_size_v<Attribute>);
  return kNames[value.index()];
}

// nullptr where the attribute is absent.
template <class T>
const T* get(const Attributes& attributes, std::string_view name) {
  const Attribute* found = attributes.find(name);
  if (found == nullptr) return nullptr;
  if (const T* value = std::get_if<T>(found)) return value;
  invalid_graph("attribute '" + std::string(name) + "' is " + kind_name(*found) + " where " +
                kind_name(Attribute(T{})) + " is expected");
}

[[noreturn]] void missing(std::string_view name) {
  invalid_graph("the required attribute '" + std::string(name) + "' is missing");
}

}  // namespace

const Attribute* Attributes::find(std::string_view name) const {
  const auto at = std::find_if(items_.begin(), items_.end(), [&](const auto& item) { return item.first == name; });
  return at == items_.end() ? nullptr : &at->second;
}

void Attributes::set(std::string name, Attribute value) {
  const auto at = std::find_if(items_.begin(), items_.end(), [&](const auto& item) { return item.first == name; });
  if (at != items_.end()) {
    at->second = std::move(value);
  } else {
    items_.emplace_back(std::move(name), std::move(value));
  }
}

void Attributes::erase(std::string_view name) {
  std::erase_if(items_, [&](const auto& item) { return item.first == name; });
}

int64_t Attributes::get_int(std::string_view name, int64_t fallback) const {
  const auto* value = get<int64_t>(*this, name);
  return value ? *value : fallback;
}

int64_t Attributes::get_int(std::string_view name) const {
  const auto* value = get<int64_t>(*this, name);
  return value ? *value : (missing(name), 0);
}

float Attributes::get_float(std::string_view name, float fallback) const {
  const auto* value = get<float>(*this, name);
  return value ? *value : fallback;
}

std::string Attributes::get_string(std::string_view name, std::string fallback) const {
  const auto* value = get<std::string>(*this, name);
  return value ? *value : std::move(fallback);
}

std::vector<int64_t> Attributes::get_ints(std::string_view name, std::vector<int64_t> fallback) const {
  const auto* value = get<std::vector<int64_t>>(*this, name);
  return value ? *value : std::move(fallback);
}

std::vector<float> Attributes::get_floats(std::string_view name, std::vector<float> fallback) const {
  const auto* value = get<std::vector<float>>(*this, name);
  return value ? *value : std::move(fallback);
}

std::vector<std::string> Attributes::get_strings(std::string_view name, std::vector<std::string> fallback) const {
  const auto* value = get<std::vector<std::string>>(*this, name);
  return value ? *value : std::move(fallback);
}

const Tensor* Attributes::get_tensor(std::string_view name) const { return get<Tensor>(*this, name); }

const std::shared_ptr<Graph>& Attributes::get_graph(std::string_view name) const {
  const auto* value = get<std::shared_ptr<Graph>>(*this, name);
  if (value == nullptr || *value == nullptr) missing(name);
  return *value;
}

}  // namespace fastort
