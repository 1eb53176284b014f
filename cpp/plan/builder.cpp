#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/parallel.h"
#include "kernels/reorder.h"
#include "ops/core/evaluate.h"
#include "ops/core/infer.h"
#include "ops/core/name_error.h"
#include "plan/candidates.h"
#include "plan/device_part.h"
#include "plan/instance.h"
#include "plan/memory.h"
#include "plan/placement.h"
#include "plan/planning.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// Results up to this size are computed while planning where all operands are known.
constexpr size_t kMaxFoldedBytes = 64 * 1024;
constexpr std::string_view kCpu = "CPUExecutionProvider";

class Builder {
 public:
  Builder(const Program& program, int begin, std::span<const PlanInput> inputs, const PlanServices& services)
      : program_(program),
        graph_(program.graph()),
        services_(services),
        known_(graph_.values.size()),
        written_as_(graph_.values.size(), kNoValue),
        external_of_(graph_.values.size(), -1),
        uses_(graph_.values.size(), 0),
        made_as_(graph_.values.size(), kNotMade),
        places_(graph_.values.size() * kLayouts, -1) {
    plan_ = std::make_shared<Instance>();
    plan_->begin = begin;
    for (const PlanInput& input : inputs) {
      Known& known = known_[static_cast<size_t>(input.id)];
      known.root = input.id;
      if (!input.is_tensor) {
        known.state = Known::State::Held;
        continue;
      }
      known.state = Known::State::Planned;
      known.desc = {input.type, input.shape, Layout::Plain, nullptr};
      if (input.value) set_value(known, *input.value);
      add_external({input.id, input.type, input.shape, false});
    }
  }

  std::shared_ptr<const Instance> build() {
    walk();
    if (!device_nodes_.empty()) group_by_place();
    mark_leaving();
    std::vector<ValueId> read_plain;
    count_uses(read_plain);
    choose_layouts(graph_, planned_, read_plain);
    prepare_all();
    emit_all();
    emit_leaving();
    finish_device();
    place();
    return plan_;
  }

 private:
  Known& known(ValueId id) {
    Known& entry = known_[static_cast<size_t>(id)];
    if (entry.state == Known::State::Absent && graph_.value(id).constant) {
      const auto& constant = graph_.value(id).constant;
      entry.state = Known::State::Planned;
      entry.root = id;
      entry.desc = {constant->type(), constant->shape(), Layout::Plain, constant.get()};
      set_value(entry, *constant);
      entry.desc.constant = constant.get();
    }
    return entry;
  }

  // Walks the nodes while shapes are known; decides for each whether it is folded, viewed or run.
  void walk() {
    const int count = static_cast<int>(graph_.nodes.size());
    int index = plan_->begin;
    for (; index < count; ++index) {
      const Node& node = graph_.nodes[static_cast<size_t>(index)];
      const OpDef& op = program_.op(index);
      // A view of something that is no tensor (Identity of a sequence) hands the value on.
      const bool hands_on = (op.flags & kView) && known(node.inputs[0]).state == Known::State::Held &&
                            !graph_.value(node.inputs[0]).type.is_tensor();
      if ((op.flags & kDynamic) || hands_on) {
        order_.push_back({Item::Kind::Dynamic, index});
        for (ValueId id : node.outputs) {
          if (id == kNoValue) continue;
          Known& entry = known_[static_cast<size_t>(id)];
          entry.state = Known::State::Held;
          entry.root = id;
          entry.made_here = true;
        }
        continue;
      }
      if (!ready(node, op)) break;
      plan_node(index, node, op);
    }
    plan_->end = index;
    if (index > plan_->begin) return;
    const Node& node = graph_.nodes[static_cast<size_t>(index)];
    fail(ErrorCode::RuntimeException, describe(graph_, node) +
                                          ": an input that it needs is a sequence, a map or an empty optional, and " +
                                          node.op_type + " takes tensors");
  }

  // Whether all that planning the node needs is known.
  bool ready(const Node& node, const OpDef& op) {
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      const ValueId id = node.inputs[static_cast<size_t>(i)];
      if (id == kNoValue) continue;
      const Known& entry = known(id);
      if (entry.state != Known::State::Planned) return false;
      const bool value_needed = i < 32 && (op.value_inputs >> i) & 1u;
      if (value_needed && entry.value.empty()) {
        // What was live at the start of the plan and is not known then never will be.
        if (entry.made_here) return false;
      }
    }
    return true;
  }

  void plan_node(int index, const Node& node, const OpDef& op) {
    std::vector<ValueType> types(node.inputs.size());
    std::vector<KnownValue> values(node.inputs.size());
    bool foldable = !(op.flags & kImpure);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const Known& entry = known(node.inputs[i]);
      types[i] = ValueType::tensor(entry.desc.type, entry.desc.shape);
      values[i] = {entry.value.empty() ? nullptr : &entry.value, entry.dims};
      foldable &= !entry.value.empty();
    }
    InferredNode inferred = infer_node(op, node, types, values, symbols_);

    PlannedNode planned;
    planned.node = index;
    planned.op = &op;
    size_t bytes = 0;
    bool all_known = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      planned.outputs.emplace_back();
      if (node.outputs[i] == kNoValue) continue;
      const ValueType& type = inferred.types[i];
      if (!type.is_concrete()) {
        fail(ErrorCode::RuntimeException, describe(graph_, node) + ": the shape of its output '" +
                                              graph_.value(node.outputs[i]).name + "' could not be determined");
      }
      const auto elements = checked_count(type.shape);
      if (!elements)
        invalid_graph(describe(graph_, node) + ": output shape " + to_string(type.shape) + " is too large");
      planned.outputs.back() = {type.element, type.shape, Layout::Plain, nullptr};
      bytes += static_cast<size_t>(*elements) * element_size(type.element);
      Known& entry = known_[static_cast<size_t>(node.outputs[i])];
      entry.state = Known::State::Planned;
      entry.root = node.outputs[i];
      entry.made_here = true;
      entry.desc = planned.outputs.back();
      entry.dims = inferred.dims[i];
      if (entry.dims && std::any_of(entry.dims->begin(), entry.dims->end(), is_symbol)) entry.dims.reset();
      if (entry.dims && type.element == DataType::Int64 && type.shape.rank() <= 1) {
        const auto& dims = *entry.dims;
        entry.value = Tensor::vector<int64_t>(std::span<const int64_t>(dims.data(), dims.size())).reshaped(type.shape);
      }
      all_known &= !entry.value.empty();
    }
    if (all_known) return;
    if (foldable && bytes <= kMaxFoldedBytes) return fold(node, op);
    if (op.flags & kView) {
      Known& out = known_[static_cast<size_t>(node.outputs[0])];
      const Known& in = known(node.inputs[0]);
      out.root = in.root;
      if (!in.value.empty()) out.value = in.value.reshaped(out.desc.shape);
      order_.push_back({Item::Kind::View, index});
      return;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      planned.inputs.emplace_back();
      if (node.inputs[i] == kNoValue) continue;
      const Known& entry = known(node.inputs[i]);
      planned.inputs.back() = entry.desc;
      if (!entry.value.empty()) planned.inputs.back().constant = keep(entry.value);
    }
    if (services_.device && take_to_device(planned)) return;
    {
      const ReadScope scope;  // neither `accepts` nor `cost` keeps an address
      list_options(graph_, planned, services_.options, services_.packs);
    }
    order_.push_back({Item::Kind::Compute, index, static_cast<int>(planned_.size())});
    planned_.push_back(std::move(planned));
  }

  // Hands the node to the device, or notes why not.
  bool take_to_device(PlannedNode& planned) {
    const Node& node = graph_.nodes[static_cast<size_t>(planned.node)];
    Refusal refusal;
    for (ValueId id : node.outputs)
      if (id != kNoValue && program_.needs_value(id)) refusal = "shapes depend on its result";
    if (refusal) {
      planned.refusals.push_back(std::string(services_.device->name()) + ": " + *refusal);
      return false;
    }
    DeviceNode placed;
    try {
      refusal =
          place_on_device(*services_.device, *planned.op, context(node, planned.inputs, planned.outputs), placed.work);
    } catch (const Error& error) {
      throw name_error(error, graph_, node);
    }
    if (refusal) {
      const std::string reason = std::string(services_.device->name()) + ": " + *refusal;
      if (services_.device->strict())
        fail(ErrorCode::EPFail, describe(graph_, node) + ": strict_placement is set, and it does not run on the " +
                                    reason + ". Leave strict_placement away to have it run on the CPU");
      planned.refusals.push_back(reason);
      return false;
    }
    placed.node = planned.node;
    placed.inputs = std::move(planned.inputs);
    placed.outputs = std::move(planned.outputs);
    order_.push_back({Item::Kind::Device, placed.node, static_cast<int>(device_nodes_.size())});
    device_nodes_.push_back(std::move(placed));
    return true;
  }

  // Puts the nodes in an order with few changes between the CPU and the device.
  void group_by_place() {
    std::unordered_map<ValueId, int> maker;  // root -> item
    std::vector<PlacedNode> nodes(order_.size());
    for (size_t i = 0; i < order_.size(); ++i) {
      const Item& item = order_[i];
      const Node& node = graph_.nodes[static_cast<size_t>(item.node)];
      nodes[i].on_device = item.kind == Item::Kind::Device;
      // A view has nothing to run: whoever reads it needs what made its memory.
      if (item.kind == Item::Kind::View) continue;
      for (ValueId id : node.inputs) {
        if (id == kNoValue) continue;
        const auto made = maker.find(known(id).root);
        if (made != maker.end()) nodes[i].needs.push_back(made->second);
      }
      for (ValueId id : node.outputs)
        if (id != kNoValue) maker[id] = static_cast<int>(i);
    }
    std::vector<Item> order;
    for (const int i : order_by_place(nodes)) order.push_back(order_[static_cast<size_t>(i)]);
    order_ = std::move(order);
  }

  void fold(const Node& node, const OpDef& op) {
    const ReadScope scope;
    std::vector<Value> inputs(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != kNoValue) inputs[i] = known(node.inputs[i]).value;
    }
    const std::vector<Value> results = evaluate_node(op, node, inputs);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      Known& entry = known_[static_cast<size_t>(node.outputs[i])];
      set_value(entry, results[i].tensor());
    }
  }

  // The tensor at an address that lives as long as the plan.
  const Tensor* keep(const Tensor& tensor) {
    auto [entry, added] = kept_.try_emplace(tensor.identity());
    if (added || entry->second->shape() != tensor.shape()) entry->second = std::make_shared<Tensor>(tensor);
    holders_.push_back(entry->second);
    return entry->second.get();
  }

  uint32_t add_external(External external) {
    external_of_[at(external.id)] = static_cast<int>(plan_->externals.size());
    plan_->externals.push_back(std::move(external));
    return static_cast<uint32_t>(plan_->externals.size() - 1);
  }

  // Values made here that a later plan or the caller reads. One value of each memory is written in place; others are
  // copied at the end.
  void mark_leaving() {
    auto leaves = [&](ValueId id) { return id != kNoValue && program_.last_use(id) >= plan_->end; };
    for (int index = plan_->begin; index < plan_->end; ++index) {
      for (ValueId id : graph_.nodes[static_cast<size_t>(index)].outputs) {
        if (!leaves(id)) continue;
        const Known& entry = known_[static_cast<size_t>(id)];
        if (entry.state != Known::State::Planned) continue;
        if (!entry.value.empty()) {
          plan_->known.emplace_back(id, entry.value);
          continue;
        }
        leaving_.push_back(id);
        const Known& root = known_[static_cast<size_t>(entry.root)];
        const bool made_here = !external_of_.contains(at(entry.root)) && root.value.empty();
        if (made_here && !written_as_.contains(at(entry.root))) written_as_[at(entry.root)] = id;
      }
    }
    for (ValueId id : leaving_) {
      const Known& entry = known_[static_cast<size_t>(id)];
      add_external({id, entry.desc.type, entry.desc.shape, true});
    }
  }

  void count_uses(std::vector<ValueId>& read_plain) {
    for (const Item& item : order_) {
      const Node& node = graph_.nodes[static_cast<size_t>(item.node)];
      for (ValueId id : node.inputs) {
        if (id == kNoValue) continue;
        if (item.kind != Item::Kind::Compute) read_plain.push_back(id);
        const Known& entry = known_[static_cast<size_t>(id)];
        if (item.kind == Item::Kind::Compute || item.kind == Item::Kind::Dynamic) host_reads_.insert(entry.root);
        if (item.kind != Item::Kind::View && entry.root != kNoValue) ++uses_[at(entry.root)];
      }
    }
    for (ValueId id : leaving_) {
      ++uses_[at(known_[at(id)].root)];
      host_reads_.insert(known_[at(id)].root);
      read_plain.push_back(id);
    }
  }

  int step_index() const { return static_cast<int>(plan_->steps.size()); }

  int add_storage(Storage storage) {
    storage.first = storage.last = step_index();
    storages_.push_back(storage);
    return static_cast<int>(storages_.size() - 1);
  }

  static size_t at(ValueId id) { return static_cast<size_t>(id); }
  static size_t place_key(ValueId root, Layout layout) { return at(root) * kLayouts + static_cast<size_t>(layout); }

  // The storage that holds a value in a layout; adds a reorder where it lies in another one.
  int storage_of(ValueId id, Layout layout) {
    Known& entry = known(id);
    const ValueId root = entry.root;
    if (const int found = places_[place_key(root, layout)]; found >= 0) return found;
    if (const int external = external_of_[at(root)]; external >= 0 && !written_as_.contains(at(root))) {
      Storage storage;
      storage.loc = Loc::External;
      storage.base = static_cast<uint32_t>(external);
      places_[place_key(root, Layout::Plain)] = add_storage(storage);
      made_as_[at(root)] = static_cast<int8_t>(Layout::Plain);
    } else if (!made_as_.contains(at(root))) {
      Storage storage;
      storage.loc = Loc::Constant;
      storage.base = static_cast<uint32_t>(plan_->constants.size());
      plan_->constants.push_back(known(root).value.held());
      places_[place_key(root, Layout::Plain)] = add_storage(storage);
      made_as_[at(root)] = static_cast<int8_t>(Layout::Plain);
    }
    if (id != root && layout != Layout::Plain) return blocked_view(id, layout);
    const Layout made = static_cast<Layout>(made_as_[at(root)]);
    const int from = places_[place_key(root, made)];
    const Shape& shape = known_[static_cast<size_t>(root)].desc.shape;
    if (made == layout || same_memory(shape, made, layout)) return from;
    Storage storage;
    storage.bytes = physical_bytes(known_[static_cast<size_t>(root)].desc, layout);
    const int to = add_storage(storage);
    add_reorder(from, made, to, layout, known_[static_cast<size_t>(root)].desc);
    places_[place_key(root, layout)] = to;
    return to;
  }

  // A value that views another one's memory, in a layout of its own shape.
  int blocked_view(ValueId id, Layout layout) {
    const TensorDesc desc = known(id).desc;
    const int from = storage_of(id, Layout::Plain);
    if (same_memory(desc.shape, Layout::Plain, layout)) return from;
    if (const int found = places_[place_key(id, layout)]; found >= 0) return found;
    Storage storage;
    storage.bytes = physical_bytes(desc, layout);
    const int to = add_storage(storage);
    add_reorder(from, Layout::Plain, to, layout, desc);
    places_[place_key(id, layout)] = to;
    return to;
  }

  static size_t physical_bytes(const TensorDesc& desc, Layout layout) {
    return static_cast<size_t>(physical_count(desc.shape, layout)) * element_size(desc.type);
  }

  void add_reorder(int from, Layout from_layout, int to, Layout to_layout, const TensorDesc& desc) {
    const size_t size = element_size(desc.type);
    auto kernel = make_kernel([from_layout, to_layout, shape = desc.shape, size](const KernelArgs& args) {
      kernels::reorder(args.in<std::byte>(0), from_layout, args.out<std::byte>(0), to_layout, shape, size,
                       args.parallel);
    });
    const int storages[] = {from, to};
    add_step(std::move(kernel), -1, storages, 1);
  }

  void add_copy(int from, int to, const TensorDesc& desc) {
    const size_t bytes = physical_bytes(desc, Layout::Plain);
    auto kernel = make_kernel(
        [bytes, strings = desc.type == DataType::String, count = desc.shape.count()](const KernelArgs& args) {
          if (strings) {
            std::copy_n(args.in<std::string>(0), count, args.out<std::string>(0));
            return;
          }
          args.parallel.range(static_cast<int64_t>(bytes), 1 << 18, [&](int64_t begin, int64_t end) {
            std::copy(args.in<std::byte>(0) + begin, args.in<std::byte>(0) + end, args.out<std::byte>(0) + begin);
          });
        });
    const int storages[] = {from, to};
    add_step(std::move(kernel), -1, storages, 1);
  }

  // `storages`: inputs, then outputs; -1 for one that is left out.
  Step& add_step(std::unique_ptr<Kernel> kernel, int node, std::span<const int> storages, size_t num_inputs) {
    Step step;
    step.kernel = kernel.get();
    step.node = node;
    place_operands(step, storages, num_inputs);
    if (const size_t bytes = kernel->workspace_bytes()) {
      Storage workspace;
      workspace.bytes = bytes;
      workspaces_.emplace_back(step_index(), add_storage(workspace));
    }
    if (kernel->make_state()) {
      step.state = static_cast<int32_t>(plan_->stateful.size());
      plan_->stateful.push_back(kernel.get());
    }
    plan_->kernels.push_back(std::move(kernel));
    plan_->steps.push_back(step);
    return plan_->steps.back();
  }

  void place_operands(Step& step, std::span<const int> storages, size_t num_inputs) {
    step.first_slot = static_cast<uint32_t>(slot_storages_.size());
    step.num_inputs = static_cast<uint16_t>(num_inputs);
    step.num_outputs = static_cast<uint16_t>(storages.size() - num_inputs);
    for (int storage : storages) {
      slot_storages_.push_back(storage);
      if (storage >= 0) storages_[static_cast<size_t>(storage)].last = step_index();
    }
  }

  OpContext context(const Node& node, std::span<const TensorDesc> inputs, std::span<const TensorDesc> outputs) const {
    return {node, inputs, outputs, services_.options, services_.packs, services_.compile_body};
  }

  void emit_all() {
    for (size_t i = 0; i < order_.size(); ++i) {
      const Item& item = order_[i];
      if (item.kind == Item::Kind::Compute) emit_compute(planned_[static_cast<size_t>(item.planned)]);
      if (item.kind == Item::Kind::Dynamic) emit_dynamic(item.node);
      if (item.kind != Item::Kind::Device) continue;
      std::vector<int> nodes;
      for (; i < order_.size(); ++i) {
        if (order_[i].kind == Item::Kind::View) continue;
        if (order_[i].kind != Item::Kind::Device) break;
        nodes.push_back(order_[i].planned);
      }
      --i;
      emit_segment(nodes);
    }
  }

  // Nodes of the device that follow one another are one step. What only the device reads never comes to the host.
  void emit_segment(std::span<const int> nodes) {
    device_.begin_segment();
    std::vector<int> fed, made;  // storages of the step
    for (const int index : nodes) {
      DeviceNode& placed = device_nodes_[static_cast<size_t>(index)];
      const Node& node = graph_.nodes[static_cast<size_t>(placed.node)];
      std::vector<DeviceOperand> inputs, outputs;
      for (size_t i = 0; i < placed.inputs.size(); ++i) {
        inputs.emplace_back();
        if (node.inputs[i] != kNoValue) inputs.back() = device_input(node.inputs[i], placed.inputs[i], fed);
      }
      for (size_t i = 0; i < placed.outputs.size(); ++i) {
        outputs.emplace_back();
        if (node.outputs[i] == kNoValue) continue;
        outputs.back() = device_.add_tensor(physical_bytes(placed.outputs[i], Layout::Plain));
        device_values_[node.outputs[i]] = outputs.back();
      }
      device_.add_work(placed.node, describe(graph_, node), std::move(placed.work), inputs, outputs);
      for (ValueId id : node.inputs)
        if (id != kNoValue) --uses_[at(known(id).root)];
      plan_->decisions.push_back(
          {placed.node, "shader", services_.device->name(), Layout::Plain, Layout::Plain, {}, {}, {}});
      if (!services_.keep_types) continue;
      plan_->decisions.back().inputs = placed.inputs;
      plan_->decisions.back().outputs = placed.outputs;
    }
    for (const int index : nodes) {
      const DeviceNode& placed = device_nodes_[static_cast<size_t>(index)];
      const Node& node = graph_.nodes[static_cast<size_t>(placed.node)];
      for (size_t i = 0; i < placed.outputs.size(); ++i) {
        const ValueId id = node.outputs[i];
        if (id == kNoValue || !host_reads_.contains(id)) continue;
        device_.download(device_values_.at(id));
        made.push_back(host_storage(id, placed.outputs[i]));
      }
    }
    device_.end_segment();
    const size_t num_inputs = fed.size();
    fed.insert(fed.end(), made.begin(), made.end());
    Step step;
    place_operands(step, fed, num_inputs);
    device_steps_.push_back(step_index());
    plan_->steps.push_back(step);
  }

  DeviceOperand device_input(ValueId id, const TensorDesc& desc, std::vector<int>& fed) {
    const ValueId root = known(id).root;
    if (desc.constant) return device_.add_tensor_constant(std::make_shared<Tensor>(*desc.constant));
    if (const auto found = device_values_.find(root); found != device_values_.end()) return found->second;
    const DeviceOperand tensor = device_.add_tensor(physical_bytes(desc, Layout::Plain));
    device_.upload(tensor);
    fed.push_back(storage_of(id, Layout::Plain));
    return device_values_[root] = tensor;
  }

  // Where the host reads what the device made.
  int host_storage(ValueId id, const TensorDesc& desc) {
    Storage storage;
    storage.bytes = physical_bytes(desc, Layout::Plain);
    if (const ValueId written = written_as_[at(id)]; written != kNoValue) {
      storage.loc = Loc::External;
      storage.base = static_cast<uint32_t>(external_of_[at(written)]);
    }
    made_as_[at(id)] = static_cast<int8_t>(Layout::Plain);
    return places_[place_key(id, Layout::Plain)] = add_storage(storage);
  }

  // Hands the segments to the provider, whose kernels take their steps.
  void finish_device() {
    if (device_.empty()) return;
    auto kernels = services_.device->compile(device_.finish());
    const auto state = static_cast<int32_t>(plan_->stateful.size());
    plan_->stateful.push_back(kernels.front().get());
    for (size_t i = 0; i < kernels.size(); ++i) {
      Step& step = plan_->steps[static_cast<size_t>(device_steps_[i])];
      step.kernel = kernels[i].get();
      step.state = state;
      plan_->kernels.push_back(std::move(kernels[i]));
    }
  }

  // Makes the kernels of all nodes, which packs their weights: the largest ones by all threads together, the others
  // side by side.
  void prepare_all() {
    constexpr size_t kLarge = size_t{16} << 20;
    kernels_.resize(planned_.size());
    std::vector<size_t> small;
    for (size_t n = 0; n < planned_.size(); ++n) {
      const auto& inputs = planned_[n].inputs;
      const bool large = std::any_of(inputs.begin(), inputs.end(), [](const TensorDesc& desc) {
        return desc.constant && desc.constant->bytes() >= kLarge;
      });
      if (!large)
        small.push_back(n);
      else
        prepare_one(n);
    }
    constexpr size_t kPiece = 4;
    const Parallel parallel(ThreadPool::instance(), services_.options.threads);
    parallel.chunks(static_cast<int>((small.size() + kPiece - 1) / kPiece), [&](int piece) {
      const size_t begin = static_cast<size_t>(piece) * kPiece;
      for (size_t i = begin; i < std::min(begin + kPiece, small.size()); ++i) prepare_one(small[i]);
    });
  }

  void prepare_one(size_t n) {
    PlannedNode& planned = planned_[n];
    const Option& option = planned.option();
    for (size_t i = 0; i < planned.inputs.size(); ++i) {
      planned.inputs[i].layout = input_layout(planned, option, static_cast<int>(i));
    }
    for (size_t i = 0; i < planned.outputs.size(); ++i) {
      planned.outputs[i].layout = output_layout(planned, option, static_cast<int>(i));
    }
    kernels_[n] =
        prepare(*option.candidate, graph_.nodes[static_cast<size_t>(planned.node)], planned.inputs, planned.outputs);
  }

  void emit_compute(PlannedNode& planned) {
    const Node& node = graph_.nodes[static_cast<size_t>(planned.node)];
    const Option option = planned.option();
    auto kernel = std::move(kernels_[static_cast<size_t>(&planned - planned_.data())]);
    const uint32_t unread = kernel->unread_inputs();
    std::vector<int> storages;
    for (size_t i = 0; i < planned.inputs.size(); ++i) {
      // The plain form of a packed weight stays out of memory.
      const bool read = node.inputs[i] != kNoValue && !(i < 32 && (unread >> i) & 1u);
      storages.push_back(read ? storage_of(node.inputs[i], planned.inputs[i].layout) : -1);
    }
    for (size_t i = 0; i < planned.outputs.size(); ++i) {
      storages.push_back(node.outputs[i] == kNoValue ? -1 : output_storage(planned, i, storages));
    }
    for (ValueId id : node.inputs) {
      if (id != kNoValue) --uses_[at(known(id).root)];
    }
    add_step(std::move(kernel), planned.node, storages, planned.inputs.size());
    plan_->decisions.push_back({planned.node,
                                option.candidate->name,
                                kCpu,
                                option.variant.in,
                                option.variant.out,
                                std::move(planned.refusals),
                                {},
                                {}});
    if (!services_.keep_types) return;
    plan_->decisions.back().inputs = planned.inputs;
    plan_->decisions.back().outputs = planned.outputs;
  }

  std::unique_ptr<Kernel> prepare(const Candidate& candidate, const Node& node, std::span<const TensorDesc> inputs,
                                  std::span<const TensorDesc> outputs) {
    try {
      return candidate.prepare(context(node, inputs, outputs));
    } catch (const Error& error) {
      throw name_error(error, graph_, node);
    }
  }

  int output_storage(const PlannedNode& planned, size_t i, std::span<const int> input_storages) {
    const Node& node = graph_.nodes[static_cast<size_t>(planned.node)];
    const ValueId id = node.outputs[i];
    const TensorDesc& desc = planned.outputs[i];
    made_as_[at(id)] = static_cast<int8_t>(desc.layout);
    int& place = places_[place_key(id, desc.layout)];
    const ValueId written = written_as_[at(id)];
    const bool plain = desc.layout == Layout::Plain || same_memory(desc.shape, desc.layout, Layout::Plain);
    if (written != kNoValue && plain) {
      Storage storage;
      storage.loc = Loc::External;
      storage.base = static_cast<uint32_t>(external_of_[at(written)]);
      return place = add_storage(storage);
    }
    if (desc.type == DataType::String) {
      Storage storage;
      storage.loc = Loc::External;
      storage.base = add_external({id, desc.type, desc.shape, true});
      written_as_[at(id)] = id;
      return place = add_storage(storage);
    }
    const size_t bytes = physical_bytes(desc, desc.layout);
    if (i == 0 && (planned.op->flags & kInPlace)) {
      for (size_t k = 0; k < planned.inputs.size() && k < input_storages.size(); ++k) {
        const int storage = input_storages[k];
        if (storage < 0 || storages_[static_cast<size_t>(storage)].loc != Loc::Arena) continue;
        const ValueId root = known(node.inputs[k]).root;
        const Layout made = static_cast<Layout>(made_as_[at(root)]);
        const bool only_reader = uses_[at(root)] == 1 && places_[place_key(root, made)] == storage;
        if (only_reader && storages_[static_cast<size_t>(storage)].bytes == bytes &&
            planned.inputs[k].layout == desc.layout && planned.inputs[k].shape == desc.shape &&
            planned.inputs[k].type == desc.type) {
          return place = storage;
        }
      }
    }
    Storage storage;
    storage.bytes = bytes;
    return place = add_storage(storage);
  }

  void emit_dynamic(int index) {
    const Node& node = graph_.nodes[static_cast<size_t>(index)];
    FrameInfo frame;
    std::vector<int> storages;
    for (ValueId id : node.inputs) {
      frame.inputs.emplace_back();
      int storage = -1;
      if (id != kNoValue && known(id).state == Known::State::Planned) {
        frame.inputs.back() = known(id).desc;
        frame.inputs.back().layout = Layout::Plain;
        if (!known(id).value.empty()) frame.inputs.back().constant = keep(known(id).value);
        storage = storage_of(id, Layout::Plain);
        --uses_[at(known(id).root)];
      }
      storages.push_back(storage);
    }
    std::vector<TensorDesc> outputs;
    for (ValueId id : node.outputs) {
      outputs.emplace_back();
      if (id != kNoValue) outputs.back().type = graph_.value(id).type.element;
      storages.push_back(-1);
    }
    const OpDef& op = program_.op(index);
    const bool hands_on = op.flags & kView;
    auto kernel = hands_on
                      ? make_kernel([](const KernelArgs& args) { args.frame->set_output(0, args.frame->input(0)); })
                      : prepare(op.cpu.front(), node, frame.inputs, outputs);
    const char* candidate = hands_on ? "hand on" : op.cpu.front().name;
    Step& step = add_step(std::move(kernel), index, storages, node.inputs.size());
    step.frame = static_cast<int32_t>(plan_->frames.size());
    plan_->frames.push_back(std::move(frame));
    std::vector<std::string> refusals;
    if (services_.device)
      refusals.push_back(std::string(services_.device->name()) + ": shapes or values that only the run shows");
    plan_->decisions.push_back({index, candidate, kCpu, Layout::Plain, Layout::Plain, std::move(refusals), {}, {}});
    if (services_.keep_types) plan_->decisions.back().inputs = plan_->frames.back().inputs;
  }

  // Copies and reorders for leaving values that no step wrote in place.
  void emit_leaving() {
    for (ValueId id : leaving_) {
      const ValueId root = known(id).root;
      const bool here = written_as_[at(root)] == id;
      Storage storage;
      storage.loc = Loc::External;
      storage.base = static_cast<uint32_t>(external_of_[at(id)]);
      if (here && made_as_.contains(at(root))) {
        const Layout made = static_cast<Layout>(made_as_[at(root)]);
        const TensorDesc& desc = known_[static_cast<size_t>(root)].desc;
        if (made == Layout::Plain || same_memory(desc.shape, made, Layout::Plain)) continue;
        // A reorder to plain may stand already for another reader.
        if (!places_.contains(place_key(root, Layout::Plain))) {
          add_reorder(places_[place_key(root, made)], made, add_storage(storage), Layout::Plain, desc);
          continue;
        }
      }
      const int from = storage_of(id, Layout::Plain);
      add_copy(from, add_storage(storage), known(id).desc);
    }
  }

  void place() {
    std::vector<Lifetime> pieces;
    std::vector<int> piece_of(storages_.size(), -1);
    for (size_t i = 0; i < storages_.size(); ++i) {
      if (storages_[i].loc != Loc::Arena) continue;
      piece_of[i] = static_cast<int>(pieces.size());
      pieces.push_back({storages_[i].bytes, storages_[i].first, storages_[i].last, -1});
    }
    plan_->arena_bytes = plan_memory(pieces);
    auto offset = [&](int storage) {
      return pieces[static_cast<size_t>(piece_of[static_cast<size_t>(storage)])].offset;
    };
    plan_->slots.reserve(slot_storages_.size());
    for (int index : slot_storages_) {
      Slot slot;
      if (index >= 0) {
        const Storage& storage = storages_[static_cast<size_t>(index)];
        slot.loc = storage.loc;
        slot.base = storage.base;
        if (storage.loc == Loc::Arena) slot.offset = offset(index);
      }
      plan_->slots.push_back(slot);
    }
    for (const auto& [step, storage] : workspaces_) {
      plan_->steps[static_cast<size_t>(step)].workspace_offset = offset(storage);
    }
    plan_->holders = std::move(holders_);
  }

  const Program& program_;
  const Graph& graph_;
  const PlanServices& services_;
  std::vector<Known> known_;
  SymbolTable symbols_;
  std::shared_ptr<Instance> plan_;
  std::vector<Item> order_;
  std::vector<PlannedNode> planned_;
  std::vector<DeviceNode> device_nodes_;
  DevicePart device_;
  std::vector<int> device_steps_;
  std::unordered_map<ValueId, DeviceOperand> device_values_;  // by root
  std::unordered_set<ValueId> host_reads_;                    // roots that the host or the caller reads
  std::vector<std::unique_ptr<Kernel>> kernels_;              // of planned_
  std::vector<ValueId> leaving_;
  Notes<ValueId> written_as_;  // root -> the leaving value whose external is its memory
  Notes<int> external_of_;     // index among the externals
  Notes<int> uses_;            // of a root's memory by steps not yet emitted
  Notes<int8_t> made_as_;      // root -> layout in which it was made
  Notes<int> places_;          // (root, layout) -> storage
  std::vector<Storage> storages_;
  std::vector<int> slot_storages_;
  std::vector<std::pair<int, int>> workspaces_;  // (step, storage)
  std::unordered_map<const void*, std::shared_ptr<Tensor>> kept_;
  std::vector<std::shared_ptr<Tensor>> holders_;
};

}  // namespace

size_t Instance::footprint() const {
  size_t bytes = sizeof(Instance) + steps.size() * sizeof(Step) + slots.size() * sizeof(Slot);
  for (const Decision& decision : decisions) {
    bytes += sizeof(Decision);
    for (const std::string& refusal : decision.refusals) bytes += sizeof(refusal) + refusal.capacity();
  }
  // A prepared kernel is a few hundred bytes to a few kilobytes (generated code is shared by oneDNN's own cache).
  return bytes + kernels.size() * 1024;
}

std::shared_ptr<const Instance> make_instance(const Program& program, int begin, std::span<const PlanInput> inputs,
                                              const PlanServices& services) {
  return Builder(program, begin, inputs, services).build();
}

}  // namespace fastort
