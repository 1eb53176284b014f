#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace fastort {

// An operator that a program brings along: it stands in no table, and is made known while the process runs.
class CustomOp {
 public:
  CustomOp(std::string domain, std::string name) : domain_(std::move(domain)), name_(std::move(name)) {}
  virtual ~CustomOp() = default;
  const std::string& domain() const { return domain_; }
  const std::string& name() const { return name_; }

  // Types, and shapes where they are known, of the outputs. Called while the process holds locks: no Python. Outputs
  // whose shapes follow from those of the inputs have a planned place, and what follows is planned with the node.
  virtual void infer(InferContext& context) const = 0;
  // Computes one call; outputs go through `frame`. Throws Error.
  virtual void compute(const Node& node, Frame& frame, const Parallel& parallel) const = 0;

 private:
  std::string domain_, name_;
};

using CustomOpPtr = std::shared_ptr<const CustomOp>;

// The custom operators that one session knows. They stay as they are for as long as programs point to them.
class CustomOps {
 public:
  // The process's operators, and in front of them those given here. nullptr where there is none at all.
  static std::shared_ptr<const CustomOps> make(const std::vector<CustomOpPtr>& own);

  // The table entry; nullptr where there is none.
  const OpDef* find(std::string_view domain, std::string_view name) const;
  CustomOpPtr op_of(const Node& node) const;

 private:
  struct Entry {
    CustomOpPtr op;
    OpDef def;
  };
  std::map<std::pair<std::string_view, std::string_view>, Entry> entries_;
};

// Makes operators known to what this thread loads, infers and plans, instead of those that it knew before.
class CustomOpsScope {
 public:
  explicit CustomOpsScope(std::shared_ptr<const CustomOps> ops) noexcept;
  ~CustomOpsScope();
  CustomOpsScope(const CustomOpsScope&) = delete;
  CustomOpsScope& operator=(const CustomOpsScope&) = delete;

  // Of this thread; nullptr where there is none.
  static const std::shared_ptr<const CustomOps>& current() noexcept;

 private:
  std::shared_ptr<const CustomOps> before_;
};

// Throws InvalidArgument for the name of an operator that fastort has itself, or for none.
void check_custom_op(const CustomOp& op);

// Makes the operator known to all sessions that are made from now on, in place of one of the same name.
void register_custom_op(CustomOpPtr op);

// Whether the entry is a custom operator's. Its flags say kDynamic; where inference gives every output's shape it is
// planned as one that is not.
bool is_custom(const OpDef& op);

// Whether inference gives the shapes of all outputs that the node has, for tensors of these types.
bool infers_shapes(const OpDef& op, const Node& node, std::span<const ValueType> inputs, SymbolTable& symbols);

}  // namespace fastort
