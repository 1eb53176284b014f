#include "onnx/graph_builder.h"

#include "base/error.h"

namespace fastort {

GraphBuilder::GraphBuilder(std::shared_ptr<SymbolTable> symbols, GraphBuilder* outer, const LoadOptions& options)
    : graph_(std::make_shared<Graph>()), outer_(outer), options_(options) {
  graph_->symbols = std::move(symbols);
}

std::string GraphBuilder::unique(const std::string& base) {
  if (taken_.insert(base).second) return base;
  for (int& suffix = suffixes_[base];;) {
    std::string name = base + "_" + std::to_string(++suffix);
    if (taken_.insert(name).second) return name;
  }
}

ValueId GraphBuilder::add_value(const std::string& name, ValueType type) {
  return graph_->add_value(name, std::move(type));
}

ValueId GraphBuilder::add_constant(const std::string& name, Tensor tensor) {
  return graph_->add_constant(name, std::move(tensor));
}

void GraphBuilder::set_overridable(ValueId id) {
  overridable_.insert(id);
  graph_->overridable.push_back(id);
}

ValueId GraphBuilder::bring(ValueId id, GraphBuilder& from) {
  if (&from == this) return id;
  if (outer_ == nullptr) fail(ErrorCode::Fail, "A value is read outside the graph that holds it");
  return capture(outer_->bring(id, from));
}

ValueId GraphBuilder::capture(ValueId outer_id) {
  if (const auto found = inner_of_.find(outer_id); found != inner_of_.end()) return found->second;
  const ValueInfo& source = outer_->graph().value(outer_id);
  const std::string name = unique(source.name);
  ValueId id = kNoValue;
  if (outer_->constant(outer_id) != nullptr) {
    id = graph_->add_value(name, source.type);
    graph_->value(id).constant = source.constant;
  } else {
    id = graph_->add_value(name, source.type);
    captured_.push_back(outer_id);
    outer_of_.emplace(id, outer_id);
  }
  inner_of_.emplace(outer_id, id);
  return id;
}

void GraphBuilder::append_captures(const std::vector<ValueId>& order) {
  for (const ValueId outer_id : order) {
    const auto found = inner_of_.find(outer_id);
    if (found != inner_of_.end()) {
      graph_->inputs.push_back(found->second);
      continue;
    }
    const ValueInfo& source = outer_->graph().value(outer_id);
    graph_->inputs.push_back(graph_->add_value(unique(source.name), source.type));
  }
}

const Tensor* GraphBuilder::constant(ValueId id) const {
  if (id == kNoValue || overridable_.contains(id)) return nullptr;
  return graph_->value(id).constant.get();
}

ValueFacts GraphBuilder::declared(ValueId id) {
  const ValueInfo& value = graph_->value(id);
  ValueFacts facts;
  facts.type = value.type;
  facts.constant = constant(id);
  if (const auto found = outer_of_.find(id); found != outer_of_.end()) facts = outer_->facts(found->second);
  if (value.constant) facts.type = ValueType::tensor(value.constant->type(), value.constant->shape());
  const bool is_sizes = facts.constant != nullptr && facts.constant->shape().rank() <= 1 &&
                        facts.constant->count() <= 64 &&
                        (facts.constant->type() == DataType::Int64 || facts.constant->type() == DataType::Int32);
  if (is_sizes) {
    Shape dims;
    bool all_numbers = true;
    for (const int64_t item : to_int64s(*facts.constant)) {
      all_numbers = all_numbers && item > kFirstSymbol;
      dims.push_back(item);
    }
    if (all_numbers) facts.dims = dims;
  }
  return facts;
}

void GraphBuilder::infer_up_to_now() {
  for (size_t i = facts_.size(); i < graph_->values.size(); ++i) facts_.push_back(declared(static_cast<ValueId>(i)));
  for (; inferred_nodes_ < graph_->nodes.size(); ++inferred_nodes_) {
    if (!options_.infer) continue;
    const Node& node = graph_->nodes[inferred_nodes_];
    std::vector<ValueFacts> inputs;
    for (const ValueId id : node.inputs)
      inputs.push_back(id == kNoValue ? ValueFacts{} : facts_[static_cast<size_t>(id)]);
    std::vector<ValueFacts> outputs;
    try {
      outputs = options_.infer(node, inputs, *graph_->symbols);
    } catch (const Error&) {
      continue;  // the whole graph's inference reports it, with more to say
    }
    for (size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      ValueFacts& facts = facts_[static_cast<size_t>(node.outputs[i])];
      if (facts.type.kind == ValueKind::Unknown || (facts.type.is_tensor() && !facts.type.has_shape))
        facts.type = outputs[i].type.kind == ValueKind::Unknown ? facts.type : outputs[i].type;
      facts.dims = outputs[i].dims;
    }
  }
}

const ValueFacts& GraphBuilder::facts(ValueId id) {
  infer_up_to_now();
  return facts_[static_cast<size_t>(id)];
}

}  // namespace fastort
