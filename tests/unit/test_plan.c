/* SPDX-License-Identifier: MIT */
/* Plans of networks, on random ones of one feature: a pass forward in the slots of the plan gives
 * what the layers give one by one, and its steps backward the derivatives, as dual numbers give
 * them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "network/plan.h"

enum { NETWORKS = 3000, TEXT = 1 << 15, UNUSED = 1000000 };

/* ---- random configs ---- */

typedef struct generator {
    uint32_t network;
    uint64_t drawn;
    char text[TEXT];
    size_t length;
} generator;

static int draw(generator *g, int count) {
    return (int)(us_random_uniform(1, US_STREAM_TEST, g->network, g->drawn++) * (float)count) %
           count;
}

static void put(generator *g, const char *text) {
    size_t length = strlen(text);
    assert_true(g->length + length < TEXT);
    memcpy(g->text + g->length, text, length + 1);
    g->length += length;
}

static void put_layers(generator *g, int most, int depth) {
    static const char *const plain[] = {
        "{\"layer\": \"dense\", \"units\": 1, \"bias\": false}",
        "{\"layer\": \"dense\", \"units\": 1, \"bias\": false}",
        "{\"layer\": \"tanh\"}",
        "{\"layer\": \"sigmoid\"}",
        "{\"layer\": \"leaky_relu\", \"slope\": 0.5}",
        "{\"layer\": \"flatten\"}",
        "{\"layer\": \"reshape\", \"shape\": [1, 1, 1]}",
    };
    int count = 1 + draw(g, most);
    put(g, "[");
    for (int i = 0; i < count; i++) {
        if (i) put(g, ", ");
        if (depth == 0 || draw(g, 3)) {
            put(g, plain[draw(g, 7)]);
            continue;
        }
        put(g, "{\"layer\": \"residual\", \"layers\": ");
        put_layers(g, 3, depth - 1);
        if (draw(g, 2)) {
            put(g, ", \"shortcut\": ");
            put_layers(g, 2, depth - 1);
        }
        put(g, "}");
    }
    put(g, "]");
}

/* ---- what is right: every layer by itself, in dual numbers ---- */

typedef struct dual {
    double value, slope;
} dual;

static double activate(us_activation a, double v) {
    switch (a.kind) {
    case US_ACTIVATION_TANH:
        return tanh(v);
    case US_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-v));
    case US_ACTIVATION_LEAKY_RELU:
        return v > 0 ? v : v * (double)a.slope;
    default:
        return v;
    }
}

static double slope_at(us_activation a, double y) {
    switch (a.kind) {
    case US_ACTIVATION_TANH:
        return 1 - y * y;
    case US_ACTIVATION_SIGMOID:
        return y * (1 - y);
    case US_ACTIVATION_LEAKY_RELU:
        return y > 0 ? 1 : (double)a.slope;
    default:
        return 1;
    }
}

static double weight(int layer) {
    return 0.5 + 0.01 * layer;
}

static us_activation activation_of(const us_layer_spec *layer) {
    return layer->type->activation ? layer->type->activation(layer->attributes)
                                   : (us_activation){0};
}

/* The network's output before its last activation where that is folded (`open`), with the slope by
 * its input, or by the weight of one layer. */
static dual evaluate(const us_network_spec *spec, double x, int by_weight_of, bool open) {
    dual values[US_NETWORK_MAX_LAYERS], in = {x, by_weight_of < 0};
    for (int i = 0; i < spec->count; i++) {
        const us_layer_spec *layer = &spec->layers[i];
        dual a = layer->input < 0 ? in : values[layer->input], *v = &values[i];
        *v = a;
        if (layer->type->has_branches) {
            dual b = layer->shortcut < 0 ? in : values[layer->shortcut];
            *v = (dual){a.value + b.value, a.slope + b.slope};
        } else if (layer->type->activation && !(open && i == spec->count - 1)) {
            v->value = activate(activation_of(layer), a.value);
            v->slope = a.slope * slope_at(activation_of(layer), v->value);
        } else if (layer->tensor_count) {
            v->value = weight(i) * a.value;
            v->slope = weight(i) * a.slope + (i == by_weight_of ? a.value : 0);
        }
    }
    return values[spec->count - 1];
}

/* ---- the plan at work ---- */

typedef struct machine {
    const us_network_spec *spec;
    const us_network_plan *plan;
    double x, y[US_NETWORK_MAX_LAYERS], *gradients, dy, dx;
    double weight_gradients[US_NETWORK_MAX_LAYERS]; /* by layer of the spec */
    us_activation input_activation;
} machine;

static double stage_value(const machine *m, int s, double x, double shortcut) {
    const us_stage_plan *stage = &m->plan->stages[s];
    const us_layer_spec *layer = &m->spec->layers[stage->layer];
    double v = layer->type->has_branches ? x + shortcut
               : layer->tensor_count     ? weight(stage->layer) * x
                                         : x;
    return activate(stage->activation, v);
}

/* Outputs in slots, which are written over as soon as the plan allows. */
static double run_forward_in_slots(const machine *m) {
    double *slots = calloc((size_t)m->plan->outputs.count + 1, sizeof *slots), y = m->x;
    assert_non_null(slots);
    for (int s = 0; s < m->plan->count; s++) {
        const us_stage_plan *stage = &m->plan->stages[s];
        double x = stage->input < 0 ? m->x : slots[m->plan->stages[stage->input].slot];
        double b = stage->shortcut < 0 ? m->x : slots[m->plan->stages[stage->shortcut].slot];
        y = slots[stage->slot] = UNUSED; /* read it, and it shows */
        y = slots[stage->slot] = stage_value(m, s, x, b);
    }
    free(slots);
    return y;
}

static double output_of(const machine *m, int stage) {
    return stage < 0 ? m->x : m->y[stage];
}

static us_activation activation_at(const machine *m, int stage) {
    return stage < 0 ? m->input_activation : m->plan->stages[stage].activation;
}

static double *gradient_in(machine *m, int slot) {
    assert_true(slot != US_SLOT_NONE);
    return slot == US_SLOT_DY ? &m->dy : slot == US_SLOT_DX ? &m->dx : &m->gradients[slot];
}

static void run_backward(machine *m) {
    for (int i = 0; i < m->plan->step_count; i++) {
        const us_gradient_step *step = &m->plan->steps[i];
        double from = *gradient_in(m, step->from), *to = gradient_in(m, step->to);
        assert_true(to != &m->dy);
        if (step->is_sum) {
            double base = step->base == US_SLOT_NONE ? 0 : *gradient_in(m, step->base);
            us_activation activation = activation_at(m, step->stage);
            double slope = step->derivative ? slope_at(activation, output_of(m, step->stage)) : 1;
            *to = base + from * slope;
            assert_true(m->spec->layers[step->layer].type->has_branches);
            continue;
        }
        const us_stage_plan *stage = &m->plan->stages[step->stage];
        bool dense = m->spec->layers[stage->layer].tensor_count;
        double x = output_of(m, stage->input);
        assert_true(to != gradient_in(m, step->from));
        assert_int_equal(stage->input_activation.kind, activation_at(m, stage->input).kind);
        m->weight_gradients[stage->layer] = dense ? from * x : 0;
        *to = (dense ? weight(stage->layer) : 1) * from * slope_at(stage->input_activation, x);
    }
}

static void near(const generator *g, const char *what, double value, double expected) {
    if (fabs(value - expected) > 1e-9 * fmax(1, fabs(expected)))
        fail_msg("%s: %.12g, expected %.12g: %s", what, value, expected, g->text);
}

static void check(const generator *g, const us_network_spec *spec, us_activation input) {
    unseen_error error;
    us_network_plan plan;
    assert_int_equal(
        us_network_plan_make(spec, &(us_network_plan_options){input, false, false}, &plan, &error),
        UNSEEN_OK);
    machine m = {.spec = spec, .plan = &plan, .dy = 1.25, .dx = 0, .input_activation = input};
    m.x = activate(input, 0.75);
    m.gradients = calloc((size_t)plan.gradients.count + 1, sizeof *m.gradients);
    assert_non_null(m.gradients);
    near(g, "output", run_forward_in_slots(&m), evaluate(spec, m.x, -1, false).value);
    for (int s = 0; s < plan.count; s++)
        m.y[s] = stage_value(&m, s, output_of(&m, plan.stages[s].input),
                             output_of(&m, plan.stages[s].shortcut));
    run_backward(&m);

    /* The gradient is with respect to the value before the output's activation: its last layer's,
     * or one further back, which must then be the only one. */
    bool open = spec->layers[spec->count - 1].type->activation != NULL;
    if (plan.count && (open || plan.output_activation.kind == US_ACTIVATION_NONE)) {
        dual right = evaluate(spec, m.x, -1, open);
        near(g, "dx", m.dx, m.dy * right.slope * slope_at(input, m.x));
        for (int i = 0; i < spec->count; i++)
            if (spec->layers[i].tensor_count)
                near(g, "weight gradient", m.weight_gradients[i],
                     m.dy * evaluate(spec, m.x, i, open).slope);
    }
    free(m.gradients);
    us_network_plan_release(&plan);
}

static void read_spec(const char *text, us_network_spec *spec) {
    unseen_error error = {0};
    us_json root;
    if (us_json_parse(text, strlen(text), "test", &root, &error) != UNSEEN_OK ||
        us_network_spec_read(&root, "network", (us_shape){1, 1, 1}, spec, &error) != UNSEEN_OK)
        fail_msg("%s: %s", error.message, text);
    cJSON_Delete(root.value);
}

static void random_networks(void **state) {
    (void)state;
    generator *g = calloc(1, sizeof *g);
    assert_non_null(g);
    int nested = 0;
    for (g->network = 0; g->network < NETWORKS; g->network++) {
        us_network_spec spec;
        g->length = 0;
        put_layers(g, 5, US_NETWORK_MAX_DEPTH);
        read_spec(g->text, &spec);
        for (int i = 0; i < spec.count; i++)
            nested += spec.layers[i].parent != US_NO_LAYER;
        check(g, &spec, (us_activation){0});
        check(g, &spec, (us_activation){.kind = US_ACTIVATION_TANH});
        us_network_spec_release(&spec);
    }
    assert_true(nested > NETWORKS);
    free(g);
}

/* ---- memory ---- */

static void slots_of(const char *text, int outputs, int gradients) {
    unseen_error error;
    us_network_spec spec;
    us_network_plan plan;
    read_spec(text, &spec);
    assert_int_equal(us_network_plan_make(&spec, &(us_network_plan_options){0}, &plan, &error),
                     UNSEEN_OK);
    assert_int_equal(plan.outputs.count, outputs);
    assert_int_equal(plan.gradients.count, gradients);
    us_network_plan_release(&plan);
    us_network_spec_release(&spec);
}

#define DENSE "{\"layer\": \"dense\", \"units\": 1}"

/* Three in turns where nothing is nested, as one rests; an output that is added later stays for as
 * long.
 */
static void few_slots(void **state) {
    (void)state;
    slots_of("[" DENSE "]", 1, 0);
    slots_of("[" DENSE ", " DENSE ", {\"layer\": \"relu\"}, " DENSE ", " DENSE "]", 3, 3);
    slots_of("[" DENSE ", {\"layer\": \"residual\", \"layers\": [" DENSE ", " DENSE ", " DENSE
             "]}]",
             4, 3);
    slots_of("[{\"layer\": \"flatten\"}]", 0, 0);
}

/* ---- fusion ---- */

#define NORMALIZED "{\"layer\": \"batchnorm\"}, {\"layer\": \"tanh\"}"

/* Steps whose dx is all that a normalisation gets. */
static int feeding_steps(const us_network_plan *plan) {
    int count = 0;
    for (int i = 0; i < plan->step_count; i++)
        count += plan->steps[i].feeds_normalization;
    return count;
}

static void neighbours_are_fused(void **state) {
    unseen_error error;
    us_network_spec spec;
    us_network_plan plan;
    (void)state;
    read_spec("[" DENSE ", " NORMALIZED ", " DENSE ", {\"layer\": \"relu\"}, " DENSE "]", &spec);
    const us_network_plan_options options = {.compared = true};
    assert_int_equal(us_network_plan_make(&spec, &options, &plan, &error), UNSEEN_OK);
    assert_int_equal(plan.count, 4); /* dense, batchnorm with tanh, dense with relu, dense */
    assert_true(plan.stages[0].fusion.is_normalized);
    assert_int_equal(plan.stages[0].fusion.normalized_activation.kind, US_ACTIVATION_TANH);
    assert_true(plan.stages[2].fusion.input_is_normalized);
    assert_int_equal(feeding_steps(&plan), 1);
    for (int s = 0; s < 4; s++) {
        assert_int_equal(plan.stages[s].fusion.is_normalized, s == 0);
        assert_int_equal(plan.stages[s].fusion.input_is_normalized, s == 2);
        assert_int_equal(plan.stages[s].fusion.compared, s == 3);
    }
    us_network_plan_release(&plan);
    us_network_spec_release(&spec);

    /* With an activation between, or another reader of its output, a layer is not normalised. */
    read_spec("[" DENSE ", {\"layer\": \"relu\"}, " NORMALIZED ", " DENSE
              ", {\"layer\": \"residual\", \"layers\": [{\"layer\": \"batchnorm\"}]}]",
              &spec);
    assert_int_equal(us_network_plan_make(&spec, &(us_network_plan_options){0}, &plan, &error),
                     UNSEEN_OK);
    for (int s = 0; s < plan.count; s++) {
        assert_false(plan.stages[s].fusion.is_normalized);
        assert_false(plan.stages[s].fusion.compared);
    }
    us_network_plan_release(&plan);
    us_network_spec_release(&spec);
}

static void too_many_layers(void **state) {
    (void)state;
    unseen_error error = {0};
    us_network_spec spec;
    us_json root;
    generator *g = calloc(1, sizeof *g);
    assert_non_null(g);
    put(g, "[");
    for (int i = 0; i < US_NETWORK_MAX_LAYERS / 2; i++) {
        put(g, i ? ", " : "");
        put(g, "{\"layer\": \"residual\", \"layers\": [{\"layer\": \"relu\"}]}");
    }
    put(g, "]");
    read_spec(g->text, &spec);
    assert_int_equal(spec.count, US_NETWORK_MAX_LAYERS);
    us_network_spec_release(&spec);
    g->length--;
    put(g, ", {\"layer\": \"relu\"}]");
    assert_int_equal(us_json_parse(g->text, strlen(g->text), "test", &root, &error), UNSEEN_OK);
    assert_int_equal(us_network_spec_read(&root, "n", (us_shape){1, 1, 1}, &spec, &error),
                     UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "/256: a network has at most 512 layers"));
    cJSON_Delete(root.value);
    free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks),
        cmocka_unit_test(few_slots),
        cmocka_unit_test(neighbours_are_fused),
        cmocka_unit_test(too_many_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
