/* SPDX-License-Identifier: MIT */
/* Parameter updates: one launch for all parameters of a network, which lie in one flat buffer. */
#ifndef US_OPS_OPTIMIZER_H
#define US_OPS_OPTIMIZER_H

#include "ops/gradient_parts.h"
#include "ops/loss.h"

typedef enum us_optimizer_kind {
    US_OPTIMIZER_ADAM,  /* weight decay added to the gradient, as torch.optim.Adam */
    US_OPTIMIZER_ADAMW, /* decoupled weight decay, as torch.optim.AdamW */
    US_OPTIMIZER_SGD,   /* momentum without dampening, as torch.optim.SGD; first moment only */
} us_optimizer_kind;

typedef struct us_optimizer us_optimizer;

/* network: its name, for profiles, which must outlive them; or NULL. */
unseen_status us_optimizer_create(us_device *device, const char *network, us_optimizer_kind kind,
                                  size_t floats, us_optimizer **optimizer, unseen_error *error);
void us_optimizer_destroy(us_optimizer *optimizer);

typedef struct us_optimizer_args {
    us_buffer *parameters, *gradients; /* floats each */
    us_gradient_table parts;           /* gradients that are in parts instead; none on CPUs */
    us_buffer *moment1, *moment2;      /* the caller's, for checkpoints; moment2 NULL for SGD */
    int64_t step;                      /* from 1 */
    double learning_rate, beta1, beta2, epsilon, momentum, weight_decay;
    bool nesterov;     /* of SGD: the momentum of the next step is applied, too */
    double clip_norm;  /* gradients are scaled to this global L2 norm if beyond it, as
                          torch.nn.utils.clip_grad_norm_ does; 0: never. Done on the device */
    us_loss_rest loss; /* added up on the way */
} us_optimizer_args;
unseen_status us_optimizer_run(us_optimizer *optimizer, const us_optimizer_args *args,
                               unseen_error *error);

#endif
