# A taught student; the method is what its children add.
_base_ = '../bccd_student.py'

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../bccd_teacher.py', checkpoint='work_dirs/bccd_teacher/epoch_16.pth'))
