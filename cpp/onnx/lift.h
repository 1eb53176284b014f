#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "onnx/graph_builder.h"

namespace fastort {

// What a lift may do to the graph around its node.
class LiftHost {
 public:
  virtual ~LiftHost() = default;
  virtual GraphBuilder& builder() = 0;
  // Appends a node in its newest form.
  virtual void append_newest(Node node) = 0;
};

// One node on its way to the newest form of its operator.
class Lift {
 public:
  Lift(LiftHost& host, Node& lifted, std::string label) : node(lifted), host_(host), label_(std::move(label)) {}

  Node& node;               // rewritten in place
  std::vector<Node> after;  // appended behind it
  bool newest = false;      // no further row applies
  int version = 0;          // the opset that introduced the form that it has now

  Attributes& attributes() { return node.attributes; }
  bool has_input(int i) const { return node.has_input(i); }
  ValueId input(int i) const { return node.has_input(i) ? node.inputs[static_cast<size_t>(i)] : kNoValue; }
  void set_input(int i, ValueId id);

  ValueId constant(Tensor tensor);
  ValueId ints(std::span<const int64_t> items);  // of rank 1
  ValueId ints(std::initializer_list<int64_t> items) { return ints(std::span(items.begin(), items.size())); }
  ValueId scalar(int64_t item);
  // A float of rank 0 in the element type of `like`.
  ValueId scalar_like(float item, ValueId like);

  // A node in front of this one; its only output. Attributes are pairs of name and value.
  ValueId emit(std::string_view op, std::vector<ValueId> inputs,
               std::initializer_list<std::pair<std::string, Attribute>> attributes = {});
  Node make(std::string_view op, std::vector<ValueId> inputs, std::vector<ValueId> outputs) const;
  ValueId fresh(ValueType type = {});
  // Appends a node in front of this one.
  void append(Node made) { host_.append_newest(std::move(made)); }
  // Turns the node into an operator in its newest form; name, outputs and origin stay. No further row applies.
  void become(std::string_view op, std::vector<ValueId> inputs,
              std::initializer_list<std::pair<std::string, Attribute>> attributes = {});

  int rank(ValueId id);          // -1: not known
  DataType element(ValueId id);  // Undefined: not known
  const Tensor* value(ValueId id) { return id == kNoValue ? nullptr : host_.builder().constant(id); }
  GraphBuilder& builder() { return host_.builder(); }

  // The integers of an attribute as an input behind the present ones, at position `i`; the attribute goes.
  void ints_to_input(const std::string& attribute, int i);
  [[noreturn]] void unsupported(const std::string& why) const;

 private:
  LiftHost& host_;
  std::string label_;
};

// Brings nodes of an operator that were defined before opset `below` to the form that opset `below` has.
struct LiftRow {
  std::string_view domain;
  std::string_view op;
  int below;
  void (*lift)(Lift&);
};

// Applies all rows for the node, oldest first; `version` is the opset that introduced its form.
void lift_node(Lift& lift, int version);
// Whether any row applies.
bool needs_lift(const std::string& domain, const std::string& op, int version);

std::span<const std::span<const LiftRow>> all_lifts();

// One list for each file of lifts; within an operator rows go from old to new.
std::span<const LiftRow> axes_lifts();       // attributes that became inputs
std::span<const LiftRow> broadcast_lifts();  // the explicit broadcasting of opsets 1 to 6
std::span<const LiftRow> norm_lifts();       // Softmax, BatchNormalization, GroupNormalization, Dropout
std::span<const LiftRow> resize_lifts();     // Upsample, Resize, RoiAlign, GridSample
std::span<const LiftRow> misc_lifts();       // renamed attributes, changed defaults
std::span<const LiftRow> scan_lifts();
std::span<const LiftRow> experimental_lifts();  // operators that never had a schema
std::span<const LiftRow> ml_lifts();            // ai.onnx.ml
std::span<const LiftRow> contrib_lifts();       // com.microsoft
std::span<const LiftRow> type_lifts();          // mixtures of element types
std::span<const LiftRow> transformer_lifts();   // com.microsoft, for transformers and diffusion models
std::span<const LiftRow> gradient_lifts();      // ai.onnx.preview.training Gradient into the nodes that compute it

}  // namespace fastort
