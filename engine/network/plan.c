/* SPDX-License-Identifier: MIT */
#include "network/plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- which layers become stages ---- */

/* While planning: of each layer of the spec. */
typedef struct layer_facts {
    int root;  /* the layer whose values its output holds: itself, or what its views view */
    int uses;  /* how many layers other than views read those values */
    int stage; /* that computes its output */
} layer_facts;

static int root_of(const layer_facts *facts, int layer) {
    return layer < 0 ? layer : facts[layer].root;
}

static int stage_of(const layer_facts *facts, int layer) {
    return layer < 0 ? layer : facts[layer].stage;
}

static void count_uses(const us_network_spec *spec, layer_facts *facts) {
    for (int i = 0; i < spec->count; i++) {
        const us_layer_spec *layer = &spec->layers[i];
        facts[i].root = layer->type->is_view ? root_of(facts, layer->input) : i;
        if (layer->type->is_view) continue;
        int read[] = {root_of(facts, layer->input), root_of(facts, layer->shortcut)};
        for (int r = 0; r < 2; r++)
            if (read[r] >= 0) facts[read[r]].uses++;
    }
}

static bool is_dropped(const us_network_spec *spec, int layer, bool logits) {
    const us_layer_type *type = spec->layers[layer].type;
    return logits && layer == spec->count - 1 && type->activation &&
           type->activation(spec->layers[layer].attributes).kind == US_ACTIVATION_SIGMOID;
}

/* Folding reads and writes the weights of the layer before, and saves that of its output. */
static bool fold_pays(const us_network_spec *spec, int before, int normalization) {
    enum { LEAST_BATCH = 16 };
    const us_layer_spec *from = &spec->layers[before], *to = &spec->layers[normalization];
    return from->type->folds_normalization && from->out.channels == to->in.channels &&
           us_tensor_spec_size(&from->tensors[0]) <=
               (int64_t)us_shape_size(from->out) * LEAST_BATCH;
}

static const us_layer_type *type_of(const us_network_spec *spec, const us_network_plan *plan,
                                    int stage) {
    return spec->layers[plan->stages[stage].layer].type;
}

/* Layers whose outputs lie in the stage get something else there. */
static void replace_output(us_network_plan *plan, int layers, int stage) {
    for (int i = 0; i < layers; i++)
        if (plan->holders[i] == stage) plan->holders[i] = US_NO_LAYER;
}

/* What stages may do for their neighbours, once all are known. */
static void plan_fusion(const us_network_spec *spec, bool compared, us_network_plan *plan) {
    for (int s = 0; s < plan->count; s++) {
        us_stage_plan *stage = &plan->stages[s];
        us_stage_plan *input = stage->input >= 0 ? &plan->stages[stage->input] : NULL;
        if (!input) continue;
        stage->fusion.input_is_normalized = type_of(spec, plan, stage->input)->is_normalization;
        if (input->fusion.is_normalized) input->fusion.normalized_activation = stage->activation;
    }
    if (plan->count) plan->stages[plan->count - 1].fusion.compared = compared;
}

static void plan_stages(const us_network_spec *spec, const us_network_plan_options *options,
                        layer_facts *facts, us_network_plan *plan) {
    count_uses(spec, facts);
    for (int i = 0; i < spec->count; i++) {
        const us_layer_spec *layer = &spec->layers[i];
        int input = facts[i].stage = stage_of(facts, layer->input);
        const bool dropped = is_dropped(spec, i, options->logits);
        plan->holders[i] = dropped ? US_NO_LAYER : input;
        if (layer->type->is_view || dropped) continue;
        us_stage_plan *previous = input >= 0 ? &plan->stages[input] : NULL;
        /* Only the one reader of values that have no activation yet may have a say in them. */
        bool sole = previous && facts[root_of(facts, layer->input)].uses == 1 &&
                    previous->activation.kind == US_ACTIVATION_NONE;
        us_activation own = {0};
        if (layer->type->activation) {
            own = layer->type->activation(layer->attributes);
            if (sole && spec->layers[previous->layer].type->folds_activation) {
                previous->activation = own;
                replace_output(plan, i, input);
                continue;
            }
        }
        /* A normalization does not follow a view here, which may have other channels. */
        bool normalizes =
            sole && layer->type->is_normalization &&
            memcmp(&layer->in, &spec->layers[previous->layer].out, sizeof layer->in) == 0;
        if (normalizes) previous->fusion.is_normalized = true;
        const bool folds = normalizes && fold_pays(spec, previous->layer, i);
        if (folds) replace_output(plan, i, input);
        plan->holders[i] = facts[i].stage = plan->count;
        plan->stages[plan->count++] = (us_stage_plan){
            .layer = i,
            .input = input,
            .shortcut = stage_of(facts, layer->shortcut),
            .activation = own,
            .input_activation = previous ? previous->activation : options->input_activation,
            .folds = folds};
    }
    plan->output_activation =
        plan->count ? plan->stages[plan->count - 1].activation : options->input_activation;
    plan_fusion(spec, options->compared, plan);
}

us_shape us_stage_shape(const us_network_spec *spec, const us_network_plan *plan, int stage) {
    return stage < 0 ? spec->in : spec->layers[plan->stages[stage].layer].out;
}

/* ---- slots ---- */

/* One that is free, made large enough. There are as many as can be in use at a time. */
static int take(us_slots *slots, size_t floats) {
    int slot = 0;
    while (slot < slots->count && slots->users[slot])
        slot++;
    if (slot == slots->count) slots->count++;
    if (slots->floats[slot] < floats) slots->floats[slot] = floats;
    slots->users[slot] = 1;
    return slot;
}

static void keep(us_slots *slots, int slot) {
    if (slot >= 0) slots->users[slot]++;
}

static void give_back(us_slots *slots, int slot) {
    if (slot < 0 || --slots->users[slot] > 0) return;
    if (slots->resting) slots->users[slots->resting - 1] = 0;
    slots->users[slot] = 1;
    slots->resting = slot + 1;
}

enum { MOST_READ = 3 };

/* What a stage reads: a normalisation that is folded into the layer before, what that one reads. */
static void find_read(const us_network_plan *plan, int stage, int read[MOST_READ]) {
    const us_stage_plan *s = &plan->stages[stage];
    read[0] = s->input;
    read[1] = s->shortcut;
    read[2] = s->folds ? plan->stages[s->input].input : US_NO_LAYER;
}

/* Outputs lie in their slots until the last stage that reads them has run. */
static void plan_outputs(const us_network_spec *spec, us_network_plan *plan, int *reads) {
    int read[MOST_READ];
    for (int s = 0; s < plan->count; s++) {
        find_read(plan, s, read);
        for (int r = 0; r < MOST_READ; r++)
            if (read[r] >= 0) reads[read[r]]++;
    }
    for (int s = 0; s < plan->count; s++) {
        us_stage_plan *stage = &plan->stages[s];
        stage->slot = take(&plan->outputs, us_shape_size(us_stage_shape(spec, plan, s)));
        find_read(plan, s, read);
        for (int r = 0; r < MOST_READ; r++)
            if (read[r] >= 0 && --reads[read[r]] == 0)
                give_back(&plan->outputs, plan->stages[read[r]].slot);
    }
}

/* ---- gradients ---- */

/* What is known so far of the gradient of a stage's output or of the network's input. */
typedef struct gradient {
    int slot;
    bool known;
    bool raw;    /* still to be multiplied by the derivative of the output's activation */
    int layer;   /* that it came through */
    int to_come; /* stages that read the output and have not run backward yet */
} gradient;

typedef struct gradient_planner {
    const us_network_spec *spec;
    us_network_plan *plan;
    gradient *gradients; /* [-1] is the network's input's */
} gradient_planner;

static int take_for(gradient_planner *p, int stage) {
    return take(&p->plan->gradients, us_shape_size(us_stage_shape(p->spec, p->plan, stage)));
}

/* Where the next sum or gradient of an output is written: at last, the input's where the caller has
 * it. */
static int target(gradient_planner *p, int stage) {
    bool last = stage == US_NETWORK_INPUT && p->gradients[stage].to_come == 1;
    return last ? US_SLOT_DX : take_for(p, stage);
}

static void add_sum(gradient_planner *p, int stage, int base, const gradient *more, int to,
                    int layer) {
    p->plan->steps[p->plan->step_count++] = (us_gradient_step){.is_sum = true,
                                                               .stage = stage,
                                                               .from = more->slot,
                                                               .to = to,
                                                               .base = base,
                                                               .derivative = more->raw,
                                                               .layer = layer};
    give_back(&p->plan->gradients, more->slot);
}

/* Multiplies a raw gradient by what it lacks. */
static void finish(gradient_planner *p, int stage, int to) {
    gradient *g = &p->gradients[stage];
    add_sum(p, stage, US_SLOT_NONE, g, to, g->layer);
    g->slot = to;
    g->raw = false;
}

/* A stage that reads an output gives its part of the gradient, which is one more user of its slot.
 */
static void contribute(gradient_planner *p, int stage, gradient more) {
    gradient *g = &p->gradients[stage];
    int to_come = g->to_come;
    if (!g->known) {
        *g = more;
    } else {
        if (g->raw && more.raw) finish(p, stage, target(p, stage));
        /* What is finished is the base, to which the other is added in its place. */
        gradient base = more.raw ? *g : more, other = more.raw ? more : *g;
        int to = base.slot;
        if (stage == US_NETWORK_INPUT && to_come == 1) to = US_SLOT_DX;
        add_sum(p, stage, base.slot, &other, to, more.layer);
        if (to != base.slot) give_back(&p->plan->gradients, base.slot);
        *g = (gradient){.slot = to, .layer = more.layer};
    }
    g->known = true;
    g->to_come = to_come - 1;
}

/* A residual layer's gradient is that of both branches, and needs no copy. */
static void pass_on(gradient_planner *p, const us_stage_plan *stage, int dy) {
    const int branches[] = {stage->input, stage->shortcut};
    for (int b = 0; b < 2; b++) {
        keep(&p->plan->gradients, dy);
        contribute(p, branches[b], (gradient){.slot = dy, .raw = true, .layer = stage->layer});
    }
}

static void plan_backward(gradient_planner *p, int s) {
    us_network_plan *plan = p->plan;
    const us_stage_plan *stage = &plan->stages[s];
    gradient *g = &p->gradients[s];
    if (g->raw && stage->activation.kind != US_ACTIVATION_NONE) finish(p, s, take_for(p, s));
    if (stage->shortcut != US_NO_LAYER) {
        pass_on(p, stage, g->slot);
    } else {
        int dx = target(p, stage->input);
        plan->steps[plan->step_count++] = (us_gradient_step){
            .stage = s, .from = g->slot, .to = dx, .base = US_SLOT_NONE, .layer = stage->layer};
        int parent = p->spec->layers[stage->layer].parent;
        contribute(p, stage->input, (gradient){.slot = dx, .layer = parent});
    }
    give_back(&plan->gradients, g->slot);
}

static void plan_gradients(gradient_planner *p) {
    us_network_plan *plan = p->plan;
    for (int s = 0; s < plan->count; s++) {
        const us_stage_plan *stage = &plan->stages[s];
        p->gradients[stage->input].to_come++;
        if (stage->shortcut != US_NO_LAYER) p->gradients[stage->shortcut].to_come++;
    }
    if (plan->count) p->gradients[plan->count - 1] = (gradient){.slot = US_SLOT_DY, .known = true};
    for (int s = plan->count - 1; s >= 0; s--)
        plan_backward(p, s);
    for (int i = 0; i + 1 < plan->step_count; i++) {
        us_gradient_step *step = &plan->steps[i], *next = step + 1;
        step->feeds_normalization =
            !step->is_sum && !next->is_sum && next->stage == plan->stages[step->stage].input &&
            next->from == step->to && type_of(p->spec, plan, next->stage)->is_normalization;
    }
}

/* ---- all of it ---- */

/* Slots in use at once, at most: one for each output's gradient, one for what is added to it, one
 * for their sum, and one that is held back. */
static bool create_slots(us_slots *slots, int stages) {
    size_t most = (size_t)stages + 4;
    slots->floats = calloc(most, sizeof *slots->floats);
    slots->users = calloc(most, sizeof *slots->users);
    return slots->floats && slots->users;
}

/* For each stage: its own step, its gradient's finish, and for each of two branches a finish and a
 * sum. */
enum { STEPS_OF_A_STAGE = 6 };

unseen_status us_network_plan_make(const us_network_spec *spec,
                                   const us_network_plan_options *options, us_network_plan *plan,
                                   unseen_error *error) {
    memset(plan, 0, sizeof *plan);
    size_t count = (size_t)spec->count;
    layer_facts *facts = calloc(count, sizeof *facts);
    int *reads = calloc(count, sizeof *reads);
    gradient *gradients = calloc(count + 1, sizeof *gradients);
    plan->stages = calloc(count, sizeof *plan->stages);
    plan->holders = calloc(count, sizeof *plan->holders);
    plan->steps = calloc(STEPS_OF_A_STAGE * count, sizeof *plan->steps);
    bool complete = facts && reads && gradients && plan->stages && plan->holders && plan->steps &&
                    create_slots(&plan->outputs, spec->count) &&
                    create_slots(&plan->gradients, spec->count);
    if (complete) {
        plan_stages(spec, options, facts, plan);
        plan_outputs(spec, plan, reads);
        plan_gradients(&(gradient_planner){spec, plan, gradients + 1});
    }
    free(facts);
    free(reads);
    free(gradients);
    if (complete) return UNSEEN_OK;
    us_network_plan_release(plan);
    return us_fail_memory(error, "a network");
}

void us_network_plan_release(us_network_plan *plan) {
    us_slots *const slots[] = {&plan->outputs, &plan->gradients};
    for (int i = 0; i < 2; i++) {
        free(slots[i]->floats);
        free(slots[i]->users);
    }
    free(plan->stages);
    free(plan->holders);
    free(plan->steps);
    memset(plan, 0, sizeof *plan);
}
