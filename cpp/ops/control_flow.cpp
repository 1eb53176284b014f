#include <algorithm>

#include "ops/core/move.h"
#include "tensor/device_buffer.h"

namespace fastort {
namespace {

// ---- types ---------------------------------------------------------------------------------------------------------

// A type that covers both: sizes and ranks that differ become unknown. New symbols are added to `forgotten`.
ValueType merge(const InferContext& context, const ValueType& a, const ValueType& b, Shape* forgotten = nullptr) {
  if (a.kind == ValueKind::Unknown) return b;
  if (b.kind == ValueKind::Unknown) return a;
  if ((a.kind == ValueKind::Optional) != (b.kind == ValueKind::Optional)) {
    const ValueType &optional = a.kind == ValueKind::Optional ? a : b, &plain = a.kind == ValueKind::Optional ? b : a;
    return ValueType::optional(optional.inner ? merge(context, *optional.inner, plain, forgotten) : plain);
  }
  const bool same_element =
      a.element == b.element || a.element == DataType::Undefined || b.element == DataType::Undefined;
  if (a.kind != b.kind || !same_element) {
    context.fail("a value is " + type_string(a) + " on one way through the subgraphs and " + type_string(b) +
                 " on the other");
  }
  ValueType merged = a.element == DataType::Undefined ? b : a;
  if (a.inner && b.inner)
    merged.inner = std::make_shared<const ValueType>(merge(context, *a.inner, *b.inner, forgotten));
  merged.has_shape = a.has_shape && b.has_shape && a.shape.size() == b.shape.size();
  merged.shape = merged.has_shape ? a.shape : Shape{};
  for (size_t i = 0; i < merged.shape.size(); ++i) {
    if (a.shape[i] == b.shape[i]) continue;
    merged.shape[i] = context.unknown();
    if (forgotten) forgotten->push_back(merged.shape[i]);
  }
  return merged;
}

// Whether every value of type `inner` is one of type `outer`, whose forgotten sizes may be any.
bool covers(const ValueType& outer, const ValueType& inner, const Shape& forgotten) {
  if (outer.kind == ValueKind::Optional && inner.kind != ValueKind::Optional)
    return outer.inner && covers(*outer.inner, inner, forgotten);
  if (outer.kind != inner.kind || outer.element != inner.element) return false;
  if (outer.inner && inner.inner && !covers(*outer.inner, *inner.inner, forgotten)) return false;
  if (!outer.has_shape) return true;
  if (!inner.has_shape || outer.shape.size() != inner.shape.size()) return false;
  for (size_t i = 0; i < outer.shape.size(); ++i) {
    const Dim dim = outer.shape[i];
    if (dim != inner.shape[i] && std::find(forgotten.begin(), forgotten.end(), dim) == forgotten.end()) return false;
  }
  return true;
}

std::span<const ValueType> captured_types(const InferContext& context) {
  return context.inputs.subspan(static_cast<size_t>(context.num_inputs()));
}

void require_arity(const InferContext& context, const Graph& body, size_t inputs, size_t outputs) {
  if (body.inputs.size() != inputs || body.outputs.size() != outputs)
    context.fail("the subgraph '" + body.name + "' has " + std::to_string(body.inputs.size()) + " inputs and " +
                 std::to_string(body.outputs.size()) + " outputs, the node needs " + std::to_string(inputs) + " and " +
                 std::to_string(outputs));
}

// The types of a body's outputs where `carried` inputs, from `first_input` on, are fed by outputs from `first_output`
// on: sizes that a turn changes are forgotten until a turn changes nothing.
std::vector<ValueType> infer_turns(const InferContext& context, const Graph& body, std::vector<ValueType>& inputs,
                                   size_t first_input, size_t first_output, size_t carried) {
  Shape forgotten;
  for (;;) {
    std::vector<ValueType> outputs = context.infer_body(body, inputs);
    bool stable = true;
    for (size_t i = 0; i < carried; ++i) {
      ValueType& in = inputs[first_input + i];
      const ValueType& out = outputs[first_output + i];
      if (out.kind == ValueKind::Unknown || covers(in, out, forgotten)) continue;
      ValueType wider = merge(context, in, out, &forgotten);
      if (wider.kind == in.kind && wider.element == in.element && covers(in, wider, forgotten)) continue;
      in = std::move(wider);
      stable = false;
    }
    if (stable) return outputs;
  }
}

// A body may declare its counters as vectors of one item.
Shape counter_shape(const Graph& body, size_t input) {
  const ValueType& type = body.value(body.inputs[input]).type;
  return type.has_shape && type.shape.size() == 1 ? Shape{1} : Shape{};
}

// ---- values --------------------------------------------------------------------------------------------------------

// The values that the bodies read from outside.
void append_captures(const KernelArgs& args, int formal, std::vector<Value>& values) {
  for (int i = formal; i < args.num_inputs; ++i) values.push_back(args.frame->input(i));
}

bool is_true(const Value& value, const char* what) {
  if (!value.is_tensor() || value.tensor().type() != DataType::Bool || value.tensor().count() != 1)
    invalid_argument(std::string(what) + ": the condition must be one bool");
  return *on_host(value.tensor()).data<bool>();
}

// One tensor out of the items of all turns, along a new axis. Nothing was copied before, so the cost is that of the
// result. `prototype` gives type and sizes where there is no item.
void stack(const std::vector<Tensor>& items, const ValueType& prototype, int64_t axis, bool backwards, const char* what,
           int output, const KernelArgs& args) {
  DataType type = prototype.element;
  Shape shape = prototype.shape;
  for (Dim& dim : shape) dim = std::max<Dim>(dim, 0);
  if (!items.empty()) {
    type = items[0].type();
    shape = items[0].shape();
  }
  const int rank = shape.rank() + 1;
  if (axis < -rank || axis >= rank)
    invalid_argument(std::string(what) + ": axis " + std::to_string(axis) +
                     " is outside of the stacked output's rank " + std::to_string(rank));
  const auto place = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  Shape whole = shape;
  whole.insert(place, static_cast<Dim>(items.size()));
  Tensor result = args.frame->allocate_output(output, type, whole);
  if (items.empty() || result.count() == 0) return;
  kernels::Strides to = kernels::strides_of(whole);
  const int64_t step = to[place];
  to.erase(place);
  const kernels::Strides from = kernels::strides_of(shape);
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].type() != type || !(items[i].shape() == shape))
      invalid_argument(std::string(what) + ": a scanned output is " + describe(items[0]) + " in the first turn and " +
                       describe(items[i]) + " in turn " + std::to_string(i));
    const auto at = static_cast<int64_t>(backwards ? items.size() - 1 - i : i);
    kernels::StridedCopy(type, shape, from, to, 0, at * step).run(items[i].raw(), result.raw(), args.parallel);
  }
}

// In memory of the host, where a body may have left it on a device.
Tensor scanned(const Value& value, const char* what) {
  if (!value.is_tensor()) invalid_argument(std::string(what) + ": only tensors can be scanned");
  return on_host(value.tensor());
}

void check_cancelled(const KernelArgs& args) {
  if (args.parallel.cancelled()) fail(ErrorCode::Cancelled, "the run was cancelled (terminate, time-out or Ctrl-C)");
}

// ---- If ------------------------------------------------------------------------------------------------------------

void infer_if(InferContext& context) {
  const auto captured = captured_types(context);
  const Tensor* condition = context.value(0);
  const bool decided = condition && condition->type() == DataType::Bool && condition->count() == 1;
  std::vector<ValueType> merged(static_cast<size_t>(context.num_outputs()));
  std::optional<Error> broken;
  bool any = false;
  for (const char* branch : {"then_branch", "else_branch"}) {
    if (decided && *condition->data<bool>() != (std::string_view(branch) == "then_branch")) continue;
    const auto& body = context.attributes().get_graph(branch);
    require_arity(context, *body, captured.size(), merged.size());
    try {
      const auto types = context.infer_body(*body, captured);
      for (size_t i = 0; i < merged.size(); ++i) merged[i] = merge(context, merged[i], types[i]);
      any = true;
    } catch (const Error& error) {
      // A branch may be there for other sizes than these: it is an error only where it is taken.
      if (error.code() != ErrorCode::InvalidGraph) throw;
      broken = error;
    }
  }
  if (!any && broken) throw *broken;
  context.outputs = std::move(merged);
}

std::unique_ptr<Kernel> prepare_if(const OpContext& context) {
  auto then_body = context.compile_body(context.attributes().get_graph("then_branch"));
  auto else_body = context.compile_body(context.attributes().get_graph("else_branch"));
  return make_kernel([then_body, else_body, formal = context.num_inputs()](const KernelArgs& args) {
    std::vector<Value> values;
    append_captures(args, formal, values);
    Body& body = is_true(args.frame->input(0), "If") ? *then_body : *else_body;
    std::vector<Value> results = body.run(std::move(values), args.parallel);
    for (size_t i = 0; i < results.size(); ++i) args.frame->set_output(static_cast<int>(i), std::move(results[i]));
  });
}

// ---- Loop ----------------------------------------------------------------------------------------------------------

void infer_loop(InferContext& context) {
  const auto& body = context.attributes().get_graph("body");
  const auto captured = captured_types(context);
  const auto carried = static_cast<size_t>(std::max(0, context.num_inputs() - 2));
  const auto outputs = static_cast<size_t>(context.num_outputs());
  if (body->outputs.size() < 1 + carried || body->inputs.size() != 2 + carried + captured.size())
    require_arity(context, *body, 2 + carried + captured.size(), 1 + std::max(carried, outputs));
  if (outputs + 1 != body->outputs.size()) require_arity(context, *body, body->inputs.size(), outputs + 1);
  std::vector<ValueType> inputs{ValueType::tensor(DataType::Int64, counter_shape(*body, 0)),
                                ValueType::tensor(DataType::Bool, counter_shape(*body, 1))};
  for (size_t i = 0; i < carried; ++i) inputs.push_back(context.in(static_cast<int>(i) + 2));
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  const auto types = infer_turns(context, *body, inputs, 2, 1, carried);
  const Dim turns = context.unknown();
  for (size_t i = 0; i < outputs; ++i) {
    // After no turn at all a carried value is what came in. An optional one may become whole by a turn, and is then
    // declared so.
    const bool whole = i < carried && inputs[2 + i].kind == ValueKind::Optional &&
                       types[1 + i].kind != ValueKind::Optional && types[1 + i].kind != ValueKind::Unknown;
    ValueType type = i < carried && !whole ? inputs[2 + i] : types[1 + i];
    if (i >= carried && type.is_tensor() && type.has_shape) type.shape.insert(0, turns);
    context.outputs[i] = std::move(type);
  }
}

std::unique_ptr<Kernel> prepare_loop(const OpContext& context) {
  const auto& graph = context.attributes().get_graph("body");
  auto body = context.compile_body(graph);
  const int formal = context.num_inputs();
  const auto carried = static_cast<size_t>(std::max(0, formal - 2));
  const bool has_count = context.has_input(0), has_condition = context.has_input(1);
  const Shape count_shape = counter_shape(*graph, 0), condition_shape = counter_shape(*graph, 1);
  std::vector<ValueType> prototypes;
  for (size_t i = 1 + carried; i < graph->outputs.size(); ++i)
    prototypes.push_back(graph->value(graph->outputs[i]).type);
  return make_kernel([=](const KernelArgs& args) {
    const int64_t limit = has_count ? scalar_as_int(tensor_of(args.frame->input(0), "Loop")) : INT64_MAX;
    bool going = !has_condition || is_true(args.frame->input(1), "Loop");
    std::vector<Value> state;
    for (int i = 2; i < formal; ++i) state.push_back(args.frame->input(i));
    std::vector<std::vector<Tensor>> stacked(prototypes.size());
    for (int64_t turn = 0; turn < limit && going; ++turn) {
      check_cancelled(args);
      std::vector<Value> inputs;
      Tensor number(DataType::Int64, count_shape), condition(DataType::Bool, condition_shape);
      *number.data<int64_t>() = turn;
      *condition.data<bool>() = going;
      inputs.push_back(number);
      inputs.push_back(condition);
      for (Value& value : state) inputs.push_back(std::move(value));
      append_captures(args, formal, inputs);
      std::vector<Value> results = body->run(std::move(inputs), args.parallel);
      // Without the input, the body's condition is ignored.
      if (has_condition) going = is_true(results[0], "Loop");
      for (size_t i = 0; i < carried; ++i) state[i] = std::move(results[1 + i]);
      for (size_t i = 0; i < stacked.size(); ++i) stacked[i].push_back(scanned(results[1 + carried + i], "Loop"));
    }
    for (size_t i = 0; i < carried; ++i) args.frame->set_output(static_cast<int>(i), std::move(state[i]));
    for (size_t i = 0; i < stacked.size(); ++i)
      stack(stacked[i], prototypes[i], 0, false, "Loop", static_cast<int>(carried + i), args);
  });
}

// ---- Scan ----------------------------------------------------------------------------------------------------------

struct ScanForm {
  size_t states, scanned, stacked;
  std::vector<int64_t> input_axes, output_axes;
  std::vector<int64_t> input_directions, output_directions;
};

ScanForm scan_form(const Node& node, const Graph& body) {
  const auto inputs = static_cast<int64_t>(node.num_inputs());
  const int64_t scanned = node.attributes.get_int("num_scan_inputs");
  auto broken = [&](const std::string& what) { invalid_graph(what); };
  if (scanned < 1 || scanned > inputs)
    broken("num_scan_inputs is " + std::to_string(scanned) + " and the node has " + std::to_string(inputs) + " inputs");
  ScanForm form;
  form.scanned = static_cast<size_t>(scanned);
  form.states = static_cast<size_t>(inputs - scanned);
  if (body.inputs.size() != node.inputs.size() || body.outputs.size() < form.states ||
      body.outputs.size() != node.outputs.size())
    broken("the subgraph '" + body.name + "' has " + std::to_string(body.inputs.size()) + " inputs and " +
           std::to_string(body.outputs.size()) + " outputs, which does not fit the node");
  form.stacked = body.outputs.size() - form.states;
  auto list = [&](const char* name, size_t count) {
    auto items = node.attributes.get_ints(name);
    if (items.empty()) items.assign(count, 0);
    if (items.size() != count) broken(std::string(name) + " must have " + std::to_string(count) + " items");
    return items;
  };
  form.input_axes = list("scan_input_axes", form.scanned);
  form.output_axes = list("scan_output_axes", form.stacked);
  form.input_directions = list("scan_input_directions", form.scanned);
  form.output_directions = list("scan_output_directions", form.stacked);
  return form;
}

void infer_scan(InferContext& context) {
  const auto& body = context.attributes().get_graph("body");
  const ScanForm form = scan_form(context.node, *body);
  std::vector<ValueType> inputs(context.inputs.begin(), context.inputs.end());
  Dim turns = -1;
  for (size_t i = 0; i < form.scanned; ++i) {
    ValueType& type = inputs[form.states + i];
    if (!type.has_shape) continue;
    const auto axis = static_cast<size_t>(normalize_axis(context, form.input_axes[i], type.shape.rank()));
    const Dim size = type.shape[axis];
    if (is_known(turns) && is_known(size) && turns != size)
      context.fail("the scanned inputs have " + std::to_string(turns) + " and " + std::to_string(size) + " items");
    if (!is_known(turns)) turns = size;
    type.shape.erase(axis);
  }
  if (turns == -1) turns = context.unknown();
  const auto types = infer_turns(context, *body, inputs, 0, 0, form.states);
  for (size_t i = 0; i < types.size(); ++i) {
    ValueType type = i < form.states ? inputs[i] : types[i];
    if (i >= form.states && type.has_shape) {
      const int rank = type.shape.rank() + 1;
      type.shape.insert(static_cast<size_t>(normalize_axis(context, form.output_axes[i - form.states], rank)), turns);
    }
    context.outputs[i] = std::move(type);
  }
}

// Item `index` along an axis, without it.
Tensor slice(const Tensor& tensor, size_t axis, int64_t index, const Parallel& parallel) {
  Shape shape = tensor.shape();
  kernels::Strides from = kernels::strides_of(shape);
  const int64_t offset = index * from[axis];
  shape.erase(axis);
  from.erase(axis);
  Tensor item(tensor.type(), shape);
  kernels::StridedCopy(tensor.type(), shape, from, kernels::strides_of(shape), offset)
      .run(tensor.raw(), item.raw(), parallel);
  return item;
}

std::unique_ptr<Kernel> prepare_scan(const OpContext& context) {
  const auto& graph = context.attributes().get_graph("body");
  auto body = context.compile_body(graph);
  const ScanForm form = scan_form(context.node, *graph);
  const int formal = context.num_inputs();
  std::vector<ValueType> prototypes;
  for (size_t i = 0; i < form.stacked; ++i) prototypes.push_back(graph->value(graph->outputs[form.states + i]).type);
  return make_kernel([=](const KernelArgs& args) {
    std::vector<Value> state;
    for (size_t i = 0; i < form.states; ++i) state.push_back(args.frame->input(static_cast<int>(i)));
    std::vector<Tensor> sources;
    std::vector<size_t> axes;
    int64_t turns = 0;
    for (size_t i = 0; i < form.scanned; ++i) {
      sources.push_back(scanned(args.frame->input(static_cast<int>(form.states + i)), "Scan"));
      const int64_t rank = sources[i].shape().rank(), axis = form.input_axes[i];
      axes.push_back(static_cast<size_t>(checked_index("Scan: scan_input_axes", axis, rank)));
      const int64_t size = sources[i].shape()[axes[i]];
      if (i > 0 && size != turns)
        invalid_argument("Scan: the scanned inputs have " + std::to_string(turns) + " and " + std::to_string(size) +
                         " items");
      turns = size;
    }
    std::vector<std::vector<Tensor>> stacked(form.stacked);
    for (int64_t turn = 0; turn < turns; ++turn) {
      check_cancelled(args);
      std::vector<Value> inputs;
      for (Value& value : state) inputs.push_back(std::move(value));
      for (size_t i = 0; i < form.scanned; ++i) {
        const int64_t at = form.input_directions[i] != 0 ? turns - 1 - turn : turn;
        inputs.push_back(slice(sources[i], axes[i], at, args.parallel));
      }
      append_captures(args, formal, inputs);
      std::vector<Value> results = body->run(std::move(inputs), args.parallel);
      for (size_t i = 0; i < form.states; ++i) state[i] = std::move(results[i]);
      for (size_t i = 0; i < form.stacked; ++i) stacked[i].push_back(scanned(results[form.states + i], "Scan"));
    }
    for (size_t i = 0; i < form.states; ++i) args.frame->set_output(static_cast<int>(i), std::move(state[i]));
    for (size_t i = 0; i < form.stacked; ++i)
      stack(stacked[i], prototypes[i], form.output_axes[i], form.output_directions[i] != 0, "Scan",
            static_cast<int>(form.states + i), args);
  });
}

constexpr Candidate kIf[] = {{"branches", nullptr, prepare_if}};
constexpr Candidate kLoop[] = {{"turns", nullptr, prepare_loop}};
constexpr Candidate kScan[] = {{"turns", nullptr, prepare_scan}};

}  // namespace

std::span<const OpDef> control_flow_ops() {
  static const OpDef kOps[] = {
      {"", "If", infer_if, kIf, kAllTypes, kDynamic},
      {"", "Loop", infer_loop, kLoop, kAllTypes, kDynamic},
      {"", "Scan", infer_scan, kScan, kAllTypes, kDynamic},
  };
  return kOps;
}

}  // namespace fastort
