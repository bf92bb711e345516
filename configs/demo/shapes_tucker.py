# The student of the demo at 37.5 % of its FLOPs, fine-tuned for as long as the student itself was trained. First:
#   python tools/tucker_decompose.py configs/demo/shapes_student.py work_dirs/demo/shapes_student/epoch_4.pth \
#       --ranks configs/demo/_base_/faster-rcnn_shapes-tucker37.5.py --out work_dirs/demo/tucker
_base_ = './_base_/faster-rcnn_shapes-tucker37.5.py'
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

load_from = 'work_dirs/demo/tucker/shapes_student_tucker.pth'
