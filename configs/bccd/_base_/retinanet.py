# A taught RetinaNet; the method is what its children add.
_base_ = '../bccd_retinanet-student.py'

model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../bccd_retinanet-teacher.py',
        checkpoint='work_dirs/bccd_retinanet-teacher/epoch_16.pth'))
