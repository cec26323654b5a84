/*
 * switch_aarch64.S - leaves one stack and continues on another (AAPCS64).
 *
 *   void  ush__switch(void **save_sp, void *load_sp);
 *   void *ush__switch_prepare(void *high, void *task);
 *
 * What a call must keep is x19-x28, the frame pointer x29, the link register x30, sp and the low
 * halves of v8-v15 (d8-d15, easily forgotten). They are stored on the stack that is left, and its
 * stack pointer is the whole handle:
 *
 *   sp -> x29 x30 | x19 x20 | x21 x22 | x23 x24 | x25 x26 | x27 x28 | d8 d9 | d10 d11 | d12 ... d15
 *   +0              +16       +32       +48       +64       +80       +96     +112      +128 +144
 *
 * A new stack is prepared as if it had called ush__switch from ush__trampoline, where the return
 * address is undefined for unwinders and x29 is 0. Return addresses that were signed with the stack
 * pointer stay good, because that stack pointer comes back with them. Landing pads are written as
 * hints, which processors without BTI ignore.
 */
    .text

    .globl ush__switch
    .hidden ush__switch
    .type ush__switch, %function
    .p2align 4
ush__switch:
    .cfi_startproc
    hint #34 /* bti c */
    stp x29, x30, [sp, #-160]!
    .cfi_adjust_cfa_offset 160
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]

    mov sp, x1
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #160
    .cfi_adjust_cfa_offset -160
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size ush__switch, . - ush__switch

    .globl ush__switch_prepare
    .hidden ush__switch_prepare
    .type ush__switch_prepare, %function
    .p2align 4
ush__switch_prepare:
    .cfi_startproc
    hint #34 /* bti c */
    sub x9, x0, #160
    adr x10, ush__trampoline
    stp xzr, x10, [x9]
    stp x1, xzr, [x9, #16]
    stp xzr, xzr, [x9, #32]
    stp xzr, xzr, [x9, #48]
    stp xzr, xzr, [x9, #64]
    stp xzr, xzr, [x9, #80]
    stp xzr, xzr, [x9, #96]
    stp xzr, xzr, [x9, #112]
    stp xzr, xzr, [x9, #128]
    stp xzr, xzr, [x9, #144]
    mov x0, x9
    ret
    .cfi_endproc
    .size ush__switch_prepare, . - ush__switch_prepare

    .type ush__trampoline, %function
    .p2align 4
ush__trampoline:
    .cfi_startproc
    .cfi_undefined x30
    hint #36 /* bti j */
    mov x29, #0
    mov x0, x19
    bl ush__task_main
    brk #0
    .cfi_endproc
    .size ush__trampoline, . - ush__trampoline

    .section .note.GNU-stack, "", %progbits
