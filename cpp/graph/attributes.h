#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "tensor/value.h"

namespace fastort {

struct Graph;

// One attribute value. Subgraphs are closed: what a body reads from outside stands among its inputs (see Node).
using Attribute = std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, std::vector<Tensor>, std::shared_ptr<Graph>,
                               std::shared_ptr<const SparseTensor>, ValueType>;

// A node's attributes by name. The getters throw InvalidGraph with the attribute's name where the type differs.
class Attributes {
 public:
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Attribute* find(std::string_view name) const;
  void set(std::string name, Attribute value);
  void erase(std::string_view name);

  int64_t get_int(std::string_view name, int64_t fallback) const;
  int64_t get_int(std::string_view name) const;  // required
  float get_float(std::string_view name, float fallback) const;
  std::string get_string(std::string_view name, std::string fallback) const;
  std::vector<int64_t> get_ints(std::string_view name, std::vector<int64_t> fallback = {}) const;
  std::vector<float> get_floats(std::string_view name, std::vector<float> fallback = {}) const;
  std::vector<std::string> get_strings(std::string_view name, std::vector<std::string> fallback = {}) const;
  const Tensor* get_tensor(std::string_view name) const;                 // nullptr where absent
  const std::shared_ptr<Graph>& get_graph(std::string_view name) const;  // required

  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }
  size_t size() const { return items_.size(); }

 private:
  std::vector<std::pair<std::string, Attribute>> items_;
};

}  // namespace fastort
