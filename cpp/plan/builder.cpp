#include <algorithm>

#include "base/parallel.h"
#include "plan/emit.h"
#include "plan/trials.h"
#include "plan/walk.h"

namespace fastort {
namespace {

// What stands between the walk over the nodes and the writing of their steps.
class Builder {
 public:
  explicit Builder(Draft& draft) : draft_(draft) {}

  // Behind a walk.
  void build() {
    draft_.plan->end = draft_.end;
    mark_leaving();
    std::vector<ValueId> read_plain;
    count_uses(read_plain);
    choose_layouts(draft_.graph, draft_.planned, read_plain);
    if (draft_.services->choice.measured && use_measured_times(draft_))
      choose_layouts(draft_.graph, draft_.planned, read_plain);
    prepare_all();
    Emitter(draft_).run();
  }

 private:
  // Values made here that a later plan or the caller reads. One value of each memory is written in place; others are
  // copied at the end.
  void mark_leaving() {
    auto leaves = [&](ValueId id) { return id != kNoValue && draft_.program.last_use(id) >= draft_.plan->end; };
    for (int index = draft_.plan->begin; index < draft_.plan->end; ++index) {
      for (ValueId id : draft_.graph.nodes[static_cast<size_t>(index)].outputs) {
        if (!leaves(id)) continue;
        const Known& entry = draft_.values[at(id)];
        if (entry.state != Known::State::Planned) continue;
        if (!entry.value.empty()) {
          draft_.plan->known.emplace_back(id, entry.value);
          continue;
        }
        draft_.leaving.push_back(id);
        const Known& root = draft_.values[at(entry.root)];
        const bool made_here = !draft_.external_of.contains(at(entry.root)) && root.value.empty();
        if (made_here && !draft_.written_as.contains(at(entry.root))) draft_.written_as[at(entry.root)] = id;
      }
    }
    for (ValueId id : draft_.leaving) {
      const Known& entry = draft_.values[at(id)];
      draft_.add_external({id, entry.desc.type, entry.desc.shape, true});
    }
  }

  void count_uses(std::vector<ValueId>& read_plain) {
    for (const Item& item : draft_.order) {
      for (ValueId id : draft_.inputs_of(item.node)) {
        if (id == kNoValue) continue;
        if (item.kind != Item::Kind::Compute) read_plain.push_back(id);
        const Known& entry = draft_.values[at(id)];
        const bool on_host = item.kind == Item::Kind::Compute || item.kind == Item::Kind::Dynamic;
        if (on_host && draft_.services->device) draft_.host_reads.insert(entry.root);
        if (item.kind != Item::Kind::View && entry.root != kNoValue) ++draft_.uses[at(entry.root)];
      }
    }
    for (ValueId id : draft_.leaving) {
      ++draft_.uses[at(draft_.values[at(id)].root)];
      if (draft_.services->device) draft_.host_reads.insert(draft_.values[at(id)].root);
      read_plain.push_back(id);
    }
  }

  // Makes the kernels that are not there yet, which packs their weights: the largest ones by all threads together, the
  // others side by side.
  void prepare_all() {
    constexpr size_t kLarge = size_t{16} << 20;
    std::vector<size_t> small;
    for (size_t n = 0; n < draft_.planned.size(); ++n) {
      if (is_prepared(draft_.planned[n])) continue;
      const auto& inputs = draft_.planned[n].inputs;
      const bool large = std::any_of(inputs.begin(), inputs.end(), [](const TensorDesc& desc) {
        return desc.constant && desc.constant->bytes() >= kLarge;
      });
      if (!large)
        small.push_back(n);
      else
        prepare_one(draft_.planned[n]);
    }
    constexpr size_t kPiece = 4;
    const Parallel parallel(ThreadPool::instance(), draft_.services->options.threads);
    parallel.chunks(static_cast<int>((small.size() + kPiece - 1) / kPiece), [&](int piece) {
      const size_t begin = static_cast<size_t>(piece) * kPiece;
      const CustomOpsScope scope(draft_.program.custom_ops());
      for (size_t i = begin; i < std::min(begin + kPiece, small.size()); ++i) prepare_one(draft_.planned[small[i]]);
    });
  }

  static bool is_prepared(const PlannedNode& planned) {
    const Option& option = planned.option();
    return planned.kernel && planned.made_by == option.candidate && planned.made_with.in == option.variant.in &&
           planned.made_with.out == option.variant.out;
  }

  void prepare_one(PlannedNode& planned) {
    const Option& option = planned.option();
    for (size_t i = 0; i < planned.inputs.size(); ++i) {
      planned.inputs[i].layout = input_layout(planned, option, static_cast<int>(i));
    }
    for (size_t i = 0; i < planned.outputs.size(); ++i) {
      planned.outputs[i].layout = output_layout(planned, option, static_cast<int>(i));
    }
    planned.kernel = prepared(prepare(draft_, *option.candidate, draft_.graph.nodes[static_cast<size_t>(planned.node)],
                                      planned.inputs, planned.outputs),
                              planned.holders);
    planned.decision = nullptr;
    planned.made_by = option.candidate;
    planned.made_with = option.variant;
  }

  Draft& draft_;
};

// Operations that pay for a way to the device and back: about as many as a CPU makes in the meantime.
constexpr double kOperationsOfWay = 2e7, kOperationsOfElement = 10;

// Whether a body's nodes do enough on the device for the ways that those beside it cost in each turn.
bool pays(const Draft& draft) {
  double operations = 0;
  for (const DeviceNode& node : draft.device_nodes) {
    for (const GpuDispatch& dispatch : node.form.work.dispatches) operations += dispatch.flops;
    for (const TensorDesc& desc : node.outputs)
      if (desc.type != DataType::Undefined)
        operations += kOperationsOfElement * static_cast<double>(desc.shape.count());
  }
  return operations >= kOperationsOfWay * static_cast<double>(1 + draft.refused.size());
}

}  // namespace

size_t Instance::footprint() const {
  size_t bytes = sizeof(Instance) + steps.size() * sizeof(Step) + slots.size() * sizeof(Slot);
  for (const auto& decision : decisions) {
    bytes += sizeof(Decision);
    for (const std::string& refusal : decision->refusals) bytes += sizeof(refusal) + refusal.capacity();
    for (const std::string& note : decision->notes) bytes += sizeof(note) + note.capacity();
  }
  // A prepared kernel is a few hundred bytes to a few kilobytes (generated code is shared by oneDNN's own cache).
  return bytes + device_bytes + kernels.size() * 1024;
}

Planner::Planner(const Program& program, int begin) : program_(program), begin_(begin) {}

Planner::~Planner() = default;

std::shared_ptr<const Instance> Planner::plan(std::span<const PlanInput> inputs, const PlanServices& services) {
  // Held here, so that a draft that an exception leaves half done is dropped.
  std::unique_ptr<Draft> draft = std::move(draft_);
  if (draft) {
    draft->services = &services;
    if (!draft->restart(inputs) || !walk_again(*draft)) draft = nullptr;
  }
  if (!draft) {
    draft = std::make_unique<Draft>(program_, begin_);
    draft->services = &services;
    draft->start(inputs);
    walk(*draft);
  }
  PlanServices host = services;
  if (services.device && services.is_body && !draft->refused.empty() && !pays(*draft)) {
    const std::string device = std::string(services.device->name()) + ": ";
    for (const auto& [node, reason] : draft->refused) host.off_device_nodes[node] = device + reason;
    const auto& [node, reason] = draft->refused.front();
    host.off_device = device + "another node of the subgraph does not run there (" +
                      describe(draft->graph, draft->graph.nodes[static_cast<size_t>(node)]) + ": " + reason +
                      "), and the others do too little for the ways there and back";
    host.device = nullptr;
    draft = std::make_unique<Draft>(program_, begin_);
    draft->services = &host;
    draft->start(inputs);
    walk(*draft);
  }
  Builder(*draft).build();
  if (services.choice.measured) services.choice.measured->settle();
  std::shared_ptr<const Instance> plan = std::move(draft->plan);
  // Where a node runs is decided for all of them together, and trials leave their times in place of the costs.
  if (!services.device && !services.choice.measured) draft_ = std::move(draft);
  return plan;
}

}  // namespace fastort
