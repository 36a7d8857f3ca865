// SPDX-License-Identifier: Apache-2.0
#include "models/network.h"

#include "base/size.h"

// The pass continues on the place of the layer.
static hel_stage *move(hel_pass *pass, uint32_t *place, const hel_layer *layer, hel_tensor *x) {
    *x = hel_pass_move(pass, *x, *place, layer->place);
    if (pass->side.rows) pass->side = hel_pass_move(pass, pass->side, *place, layer->place);
    *place = layer->place;
    return &pass->stages[*place];
}

hel_tensor hel_network_forward(const hel_network *network, hel_pass *pass) {
    const hel_hyper *hyper = &network->hyper;
    const hel_family *family = hyper->family;
    uint32_t place = network->layers[0].place;
    hel_stage *stage = &pass->stages[place];
    uint32_t side = hel_family_side_cols(hyper);
    hel_tensor x = hel_embedding(&stage->exec, hel_bind(stage->tokens), pass->count, &network->ends.embedding);
    pass->side = side ? hel_exec_tensor(&stage->exec, pass->count, side) : (hel_tensor){.rows = 0};
    if (family->enter) family->enter(network, pass, stage, x);
    for (uint32_t l = 0; l < hyper->layers; l++) {
        const hel_layer *layer = &network->layers[l];
        stage = move(pass, &place, layer, &x);
        uint64_t mark = hel_exec_mark(&stage->exec);
        layer->kind->forward(network, layer, pass, x);
        hel_exec_release(&stage->exec, mark);
    }
    return family->leave(network, stage, x);
}

hel_tensor hel_network_logits(const hel_network *network, hel_pass *pass, hel_tensor hidden, uint32_t first, uint32_t count) {
    hel_stage *stage = &pass->stages[network->layers[network->hyper.layers - 1].place];
    const hel_weight *head = network->ends.head.rows ? &network->ends.head : &network->ends.embedding;
    return hel_linear_rows(&stage->exec, hidden, first, count, head);
}

// ---------------------------------------------------------------- memory

hel_place_memory hel_network_memory(const hel_network *network, uint32_t place) {
    hel_place_memory sum = {0};
    for (uint32_t l = 0; l < network->hyper.layers; l++) {
        const hel_layer *layer = &network->layers[l];
        if (layer->place != place) continue;
        sum.kv_layers += layer->memory.attends;
        sum.state_bytes = HEL_MAX(sum.state_bytes, layer->state_at + layer->memory.state_floats * sizeof(float));
    }
    return sum;
}

hel_binding hel_layer_state(const hel_layer *layer, const hel_stage *stage) {
    return (hel_binding){stage->state, layer->state_at, layer->memory.state_floats * sizeof(float)};
}
