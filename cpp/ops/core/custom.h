#pragma once

#include <memory>
#include <string>

#include "ops/op.h"

namespace fastort {

// An operator that a program brings along: it stands in no table, and is made known while the process runs.
class CustomOp {
 public:
  CustomOp(std::string domain, std::string name) : domain_(std::move(domain)), name_(std::move(name)) {}
  virtual ~CustomOp() = default;
  const std::string& domain() const { return domain_; }
  const std::string& name() const { return name_; }

  // Types, and shapes where they are known, of the outputs. Called while the process holds locks: no Python.
  virtual void infer(InferContext& context) const = 0;
  // Computes one call; outputs go through `frame`. Throws Error.
  virtual void compute(const Node& node, Frame& frame, const Parallel& parallel) const = 0;

 private:
  std::string domain_, name_;
};

// Makes the operator known to sessions that are made from now on, in place of a custom one of the same name. Throws
// InvalidArgument for the name of an operator that fastort has itself.
void register_custom_op(std::shared_ptr<const CustomOp> op);

// The table entry of a custom operator, for `find_op`; nullptr where there is none.
const OpDef* find_custom_op(std::string_view domain, std::string_view name);

}  // namespace fastort
